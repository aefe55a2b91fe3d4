//! Errors for people: with their causes, in one line.

use std::error::Error;

/// An error and the chain of its sources, each behind a colon.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read {0}")]
    struct Read(&'static str, #[source] std::fmt::Error);

    #[test]
    fn causes_follow_in_order() {
        let cause = std::fmt::Error.to_string();
        assert_eq!(chain(&Read("a.yml", std::fmt::Error)), format!("cannot read a.yml: {cause}"));
        assert_eq!(chain(&std::fmt::Error), cause);
    }
}
