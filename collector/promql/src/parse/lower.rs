//! From the grammar's tree to ours: types checked, matchers compiled as Prometheus means them, functions looked up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use collector_model::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::label::{MatchOp as TheirMatchOp, Matcher as TheirMatcher};
use promql_parser::parser as theirs;
use promql_parser::parser::token;

use super::Dialect;
use crate::expr::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Expr, Grouping, Matching, MatrixSelector,
    Selector, Subquery, ValueType,
};
use crate::functions;

pub(super) fn lower(expr: theirs::Expr, dialect: Dialect) -> Result<Expr, String> {
    match expr {
        theirs::Expr::NumberLiteral(number) => Ok(Expr::Number(number.val)),
        theirs::Expr::StringLiteral(string) => Ok(Expr::String(string.val)),
        theirs::Expr::Paren(paren) => lower(*paren.expr, dialect),
        theirs::Expr::VectorSelector(vector) => selector(vector).map(Expr::Vector),
        theirs::Expr::MatrixSelector(matrix) => {
            let range_ms = positive_ms(matrix.range, "range")?;
            Ok(Expr::Matrix(MatrixSelector { selector: selector(matrix.vs)?, range_ms }))
        }
        theirs::Expr::Subquery(inner) => subquery(inner, dialect),
        theirs::Expr::Unary(unary) => negate(lower(*unary.expr, dialect)?),
        theirs::Expr::Binary(inner) => binary_chain(inner, dialect),
        theirs::Expr::Aggregate(inner) => aggregate(inner, dialect),
        theirs::Expr::Call(inner) => call(inner, dialect),
        theirs::Expr::Extension(_) => Err("extensions of the grammar are not evaluated".to_owned()),
    }
}

fn negate(inner: Expr) -> Result<Expr, String> {
    match (inner.value_type(), inner) {
        (_, Expr::Number(number)) => Ok(Expr::Number(-number)),
        (ValueType::Scalar | ValueType::Vector, inner) => Ok(Expr::Negate(Box::new(inner))),
        (other, _) => Err(format!(
            "unary expression only allowed on expressions of type scalar or instant vector, got \"{}\"",
            other.described()
        )),
    }
}

fn selector(vector: theirs::VectorSelector) -> Result<Selector, String> {
    // The grammar takes `{a="b" or c="d"}`, which PromQL has not.
    if !vector.matchers.or_matchers.is_empty() {
        return Err("unexpected \"or\" in label matching".to_owned());
    }
    let mut matchers = Vec::with_capacity(vector.matchers.matchers.len() + 1);
    if let Some(name) = vector.name {
        matchers.push(Matcher::equal(METRIC_NAME, name));
    }
    for matcher in vector.matchers.matchers {
        matchers.push(self::matcher(matcher)?);
    }
    if matchers.iter().all(|m| m.matches("")) {
        return Err("vector selector must contain at least one non-empty matcher".to_owned());
    }
    Ok(Selector { matchers, offset_ms: offset_ms(vector.offset.as_ref())?, at: at(vector.at)? })
}

fn matcher(matcher: TheirMatcher) -> Result<Matcher, String> {
    let op = match matcher.op {
        TheirMatchOp::Equal => MatchOp::Equal,
        TheirMatchOp::NotEqual => MatchOp::NotEqual,
        TheirMatchOp::Re(_) => MatchOp::Regex,
        TheirMatchOp::NotRe(_) => MatchOp::NotRegex,
    };
    Matcher::new(op, matcher.name, matcher.value).map_err(|e| e.to_string())
}

fn subquery(inner: theirs::SubqueryExpr, dialect: Dialect) -> Result<Expr, String> {
    let expr = lower(*inner.expr, dialect)?;
    if expr.value_type() != ValueType::Vector {
        return Err(format!(
            "subquery is only allowed on instant vector, got {} instead",
            expr.value_type().described()
        ));
    }
    Ok(Expr::Subquery(Subquery {
        range_ms: positive_ms(inner.range, "range")?,
        step_ms: inner.step.map(|step| positive_ms(step, "step")).transpose()?,
        offset_ms: offset_ms(inner.offset.as_ref())?,
        at: at(inner.at)?,
        expr: Box::new(expr),
    }))
}

fn positive_ms(duration: Duration, what: &str) -> Result<i64, String> {
    match duration_ms(duration)? {
        0 => Err(format!("{what} duration must be greater than 0")),
        ms => Ok(ms),
    }
}

fn duration_ms(duration: Duration) -> Result<i64, String> {
    i64::try_from(duration.as_millis())
        .ok()
        .filter(|ms| *ms <= i64::MAX / 1_000_000)
        .ok_or_else(|| "duration out of range".to_owned())
}

fn offset_ms(offset: Option<&theirs::Offset>) -> Result<i64, String> {
    match offset {
        None => Ok(0),
        Some(theirs::Offset::Pos(duration)) => duration_ms(*duration),
        Some(theirs::Offset::Neg(duration)) => Ok(-duration_ms(*duration)?),
    }
}

fn at(at: Option<theirs::AtModifier>) -> Result<Option<At>, String> {
    let signed_ms = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => duration_ms(after),
        Err(before) => duration_ms(before.duration()).map(|ms| -ms),
    };
    Ok(match at {
        None => None,
        Some(theirs::AtModifier::Start) => Some(At::Start),
        Some(theirs::AtModifier::End) => Some(At::End),
        Some(theirs::AtModifier::At(time)) => {
            Some(At::Time(signed_ms(time).map_err(|_| "timestamp out of bounds for @ modifier".to_owned())?))
        }
    })
}

fn grouping(modifier: Option<theirs::LabelModifier>, absent: Grouping) -> Grouping {
    match modifier {
        Some(theirs::LabelModifier::Include(labels)) => Grouping::Only(labels.labels),
        Some(theirs::LabelModifier::Exclude(labels)) => Grouping::Except(labels.labels),
        None => absent,
    }
}

fn aggregate(inner: theirs::AggregateExpr, dialect: Dialect) -> Result<Expr, String> {
    let op = match inner.op.id() {
        token::T_SUM => AggregateOp::Sum,
        token::T_AVG => AggregateOp::Avg,
        token::T_MIN => AggregateOp::Min,
        token::T_MAX => AggregateOp::Max,
        token::T_GROUP => AggregateOp::Group,
        token::T_COUNT => AggregateOp::Count,
        token::T_STDDEV => AggregateOp::Stddev,
        token::T_STDVAR => AggregateOp::Stdvar,
        token::T_COUNT_VALUES => AggregateOp::CountValues,
        token::T_TOPK => AggregateOp::Topk,
        token::T_BOTTOMK => AggregateOp::Bottomk,
        token::T_QUANTILE => AggregateOp::Quantile,
        token::T_LIMITK => AggregateOp::Limitk,
        token::T_LIMIT_RATIO => AggregateOp::LimitRatio,
        _ => return Err(format!("aggregation operator expected, got {}", inner.op)),
    };
    if matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio) && !dialect.experimental {
        return Err(format!("{} is experimental and not enabled", inner.op));
    }
    let expr = lower(*inner.expr, dialect)?;
    expect(&expr, ValueType::Vector, "aggregation expression")?;
    let param = inner.param.map(|param| lower(*param, dialect)).transpose()?;
    if let Some(param) = &param {
        let wanted = if op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
        expect(param, wanted, "aggregation parameter")?;
    }
    let grouping = grouping(inner.modifier, Grouping::Only(Vec::new()));
    Ok(Expr::Aggregate(Aggregate { op, expr: Box::new(expr), param: param.map(Box::new), grouping }))
}

/// Walks down the left side in a loop, so that a long chain of operators does not deepen the stack.
fn binary_chain(last: theirs::BinaryExpr, dialect: Dialect) -> Result<Expr, String> {
    let mut chain = Vec::new();
    let mut leftmost = theirs::Expr::Binary(last);
    while let theirs::Expr::Binary(theirs::BinaryExpr { op, lhs, rhs, modifier }) = leftmost {
        chain.push((op, *rhs, modifier.unwrap_or_default()));
        leftmost = *lhs;
    }
    let mut lowered = lower(leftmost, dialect)?;
    for (op, rhs, modifier) in chain.into_iter().rev() {
        lowered = binary(op, modifier, lowered, lower(rhs, dialect)?)?;
    }
    Ok(lowered)
}

fn binary(token: token::TokenType, modifier: theirs::BinModifier, lhs: Expr, rhs: Expr) -> Result<Expr, String> {
    let op = binary_op(token)?;
    if modifier.fill_values != theirs::VectorMatchFillValues::default() {
        return Err("fill modifiers are experimental and not enabled".to_owned());
    }
    let (left, right) = (lhs.value_type(), rhs.value_type());
    if [left, right].iter().any(|t| !matches!(t, ValueType::Scalar | ValueType::Vector)) {
        return Err("binary expression must contain only scalar and instant vector types".to_owned());
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if scalars && op.is_comparison() && !modifier.return_bool {
        return Err("comparisons between scalars must use BOOL modifier".to_owned());
    }
    if op.is_set() && (left == ValueType::Scalar || right == ValueType::Scalar) {
        return Err(format!("set operator {token} not allowed in binary scalar expression"));
    }
    let matching = Matching {
        on: grouping(modifier.matching, Grouping::Except(Vec::new())),
        cardinality: match modifier.card {
            theirs::VectorMatchCardinality::ManyToOne(labels) => Cardinality::ManyToOne(labels.labels),
            theirs::VectorMatchCardinality::OneToMany(labels) => Cardinality::OneToMany(labels.labels),
            _ => Cardinality::OneToOne,
        },
    };
    let returns_bool = modifier.return_bool;
    Ok(Expr::Binary(Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs), matching, returns_bool }))
}

fn binary_op(op: token::TokenType) -> Result<BinaryOp, String> {
    Ok(match op.id() {
        token::T_ADD => BinaryOp::Add,
        token::T_SUB => BinaryOp::Sub,
        token::T_MUL => BinaryOp::Mul,
        token::T_DIV => BinaryOp::Div,
        token::T_MOD => BinaryOp::Mod,
        token::T_POW => BinaryOp::Pow,
        token::T_ATAN2 => BinaryOp::Atan2,
        token::T_EQLC => BinaryOp::Equal,
        token::T_NEQ => BinaryOp::NotEqual,
        token::T_GTR => BinaryOp::Greater,
        token::T_GTE => BinaryOp::GreaterEqual,
        token::T_LSS => BinaryOp::Less,
        token::T_LTE => BinaryOp::LessEqual,
        token::T_LAND => BinaryOp::And,
        token::T_LOR => BinaryOp::Or,
        token::T_LUNLESS => BinaryOp::Unless,
        _ => return Err(format!("binary expression does not support operator {op}")),
    })
}

fn call(inner: theirs::Call, dialect: Dialect) -> Result<Expr, String> {
    let name = inner.func.name;
    let function = functions::find(name).ok_or_else(|| format!("unknown function with name {name:?}"))?;
    if function.experimental && !dialect.experimental {
        return Err(format!("function {name:?} is not enabled"));
    }
    let mut args = Vec::with_capacity(inner.args.args.len());
    for arg in inner.args.args {
        args.push(lower(*arg, dialect)?);
    }
    check_arity(function, args.len())?;
    for (position, arg) in args.iter().enumerate() {
        let wanted = function.args.get(position).or(function.args.last()).copied();
        if let Some(wanted) = wanted {
            expect(arg, wanted, &format!("call to function {name:?}"))?;
        }
    }
    Ok(Expr::Call(Call { function, args }))
}

fn check_arity(function: &functions::Function, have: usize) -> Result<(), String> {
    let (name, declared) = (function.name, function.args.len());
    let (least, most) = match function.optional {
        functions::Optional::None => (declared, Some(declared)),
        functions::Optional::Last => (declared.saturating_sub(1), Some(declared)),
        functions::Optional::LastRepeats => (declared.saturating_sub(1), None),
    };
    let bound = match most {
        Some(most) if least == most => "",
        Some(most) if have > most => " at most",
        _ => " at least",
    };
    if have < least || most.is_some_and(|most| have > most) {
        let wanted = if have < least { least } else { declared };
        return Err(format!("expected{bound} {wanted} argument(s) in call to {name:?}, got {have}"));
    }
    Ok(())
}

fn expect(expr: &Expr, wanted: ValueType, context: &str) -> Result<(), String> {
    let have = expr.value_type();
    if have == wanted {
        return Ok(());
    }
    Err(format!("expected type {} in {context}, got {}", wanted.described(), have.described()))
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, parse, parse_selector};

    #[track_caller]
    fn check_fails(query: &str, want: &str) {
        let error = parse(query, Dialect::default()).expect_err(query).to_string();
        assert!(error.contains(want), "{query}: {error}");
    }

    #[track_caller]
    fn check(query: &str) {
        if let Err(error) = parse(query, Dialect::default()) {
            panic!("{query}: {error}");
        }
    }

    #[test]
    fn takes_what_prometheus_takes() {
        check("SUM BY (a) (Rate(x[5m]))".replace("Rate", "rate").as_str());
        check("sum(rate(x[5m])) WITHOUT (a) > BOOL 1_000");
        check(r#"{__name__=~"a.*"}"#);
        check(r#"x{a=~"b",a!="c"} offset -5m @ 10.5"#);
        check("max_over_time(rate(x[5m:])[1h:1m] @ end() offset 1h)");
        check("quantile(0.9, x) by (le, __name__)");
        check("label_join(x, 'a', ',')");
        check("hour() + round(x, 5) - 0x1F ^ Inf ^ -NaN");
        check("a * on(b) group_left(c, d) e unless ignoring(f) g");
        check("x{a=~`\\d+`}");
        check("topk(scalar(x), y)");
        check("{\"a.b\", \"c d\"=\"e\"}");
    }

    #[test]
    fn refuses_with_a_reason() {
        check_fails(r#"{a="b" or c="d"}"#, "or");
        check_fails("{}", "non-empty matcher");
        check_fails(r#"{a=~".*"}"#, "non-empty matcher");
        check_fails(r#"x{__name__="y"}"#, "twice");
        check_fails("rate(x)", "expected type range vector in call to function");
        check_fails("sum(x[5m])", "aggregation expression");
        check_fails("topk(x, y)", "expected type scalar");
        check_fails("1 > 2", "BOOL");
        check_fails("1 and x", "set operator");
        check_fails("nope(x)", "unknown function");
        check_fails("sort_by_label(x, 'a')", "not enabled");
        check_fails("limitk(1, x)", "not enabled");
        check_fails("x + fill(0) y", "not enabled");
    }

    #[test]
    fn reads_plain_selectors_only() {
        let matchers = parse_selector(r#"up{job=~"a|b",x!=""}"#).unwrap();
        assert_eq!(
            matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [r#"__name__="up""#, r#"job=~"a|b""#, r#"x!="""#]
        );
        assert!(parse_selector("up[5m]").is_err());
        assert!(parse_selector("up offset 5m").is_err());
        assert!(parse_selector("sum(up)").is_err());
    }
}
