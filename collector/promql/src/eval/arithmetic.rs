//! One operator on two numbers.

use crate::expr::BinaryOp;

/// What a pair of numbers gives: the value, and for comparisons whether it holds.
pub(super) fn compute(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        comparison => f64::from(u8::from(holds(comparison, a, b))),
    }
}

/// Whether a comparison holds; any with NaN does not, but `!=`.
pub(super) fn holds(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        _ => false,
    }
}
