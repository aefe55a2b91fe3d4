//! The tree that is evaluated: the grammar's tree, checked, with matchers compiled and functions looked up.

use collector_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, TimestampMs};

use crate::functions::Function;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number per step.
    Scalar,
    /// A string literal.
    String,
    /// At most one value per series and step.
    Vector,
    /// A window of samples per series and step.
    Matrix,
}

impl ValueType {
    /// As Prometheus's error texts name it.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Expr {
    Number(f64),
    String(String),
    Vector(Selector),
    Matrix(MatrixSelector),
    Subquery(Subquery),
    Call(Call),
    Aggregate(Aggregate),
    Binary(Binary),
    Negate(Box<Expr>),
}

/// The fixed time that `@` names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    Start,
    End,
    Time(TimestampMs),
}

#[derive(Debug)]
pub(crate) struct Selector {
    pub matchers: Vec<Matcher>,
    pub offset_ms: i64,
    pub at: Option<At>,
}

#[derive(Debug)]
pub(crate) struct MatrixSelector {
    pub selector: Selector,
    pub range_ms: i64,
}

#[derive(Debug)]
pub(crate) struct Subquery {
    pub expr: Box<Expr>,
    pub range_ms: i64,
    /// The engine's default when absent.
    pub step_ms: Option<i64>,
    pub offset_ms: i64,
    pub at: Option<At>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub function: &'static Function,
    pub args: Vec<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Group,
    Count,
    Stddev,
    Stdvar,
    CountValues,
    Topk,
    Bottomk,
    Quantile,
    Limitk,
    LimitRatio,
}

#[derive(Debug)]
pub(crate) struct Aggregate {
    pub op: AggregateOp,
    pub expr: Box<Expr>,
    pub param: Option<Box<Expr>>,
    pub grouping: Grouping,
}

/// Which labels make a group, of an aggregation or of a vector match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// `by`, `on`: these labels.
    Only(Vec<String>),
    /// `without`, `ignoring`: all but these and the metric name.
    Except(Vec<String>),
}

impl Grouping {
    /// The labels of the group that a series belongs to.
    pub fn key(&self, labels: &Labels) -> Labels {
        Labels::from_sorted(labels.iter().filter(|(name, _)| self.keeps(name)))
    }

    fn keeps(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::Except(names) => name != METRIC_NAME && !names.iter().any(|n| n == name),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Greater | Self::GreaterEqual | Self::Less | Self::LessEqual)
    }

    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

#[derive(Debug)]
pub(crate) struct Binary {
    pub op: BinaryOp,
    pub lhs: Box<Expr>,
    pub rhs: Box<Expr>,
    pub matching: Matching,
    /// `bool`: give 0 or 1 instead of filtering.
    pub returns_bool: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Matching {
    pub on: Grouping,
    pub cardinality: Cardinality,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left` with the labels to copy from the right.
    ManyToOne(Vec<String>),
    /// `group_right` with the labels to copy from the left.
    OneToMany(Vec<String>),
}

impl Expr {
    pub fn value_type(&self) -> ValueType {
        let mut expr = self;
        loop {
            match expr {
                Self::Number(_) => return ValueType::Scalar,
                Self::String(_) => return ValueType::String,
                Self::Vector(_) | Self::Aggregate(_) => return ValueType::Vector,
                Self::Matrix(_) | Self::Subquery(_) => return ValueType::Matrix,
                Self::Call(call) => return call.function.returns,
                Self::Negate(inner) => expr = inner,
                Self::Binary(binary) if binary.rhs.value_type() == ValueType::Vector => return ValueType::Vector,
                Self::Binary(binary) => expr = &binary.lhs,
            }
        }
    }

    /// The matchers of a plain selector, for `absent` to name what is missing.
    pub fn matchers(&self) -> Option<&[Matcher]> {
        match self {
            Self::Vector(selector) => Some(&selector.matchers),
            Self::Matrix(matrix) => Some(&matrix.selector.matchers),
            _ => None,
        }
    }

    /// The labels that an absent series would have had: those that its selector pins to one value.
    pub fn absent_labels(&self) -> Labels {
        let mut labels = LabelsBuilder::default();
        let mut seen: Vec<&str> = Vec::new();
        for matcher in self.matchers().unwrap_or_default().iter().filter(|m| m.name() != METRIC_NAME) {
            if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
                labels.set(matcher.name(), matcher.value());
                seen.push(matcher.name());
            } else {
                labels.remove(matcher.name());
            }
        }
        labels.build()
    }
}
