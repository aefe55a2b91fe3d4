//! One vote as it lies on the Redis list: `{"voter_id":"…","vote":"a"}`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::options::Choice;

/// No vote needs more; what is longer is not read.
pub const MESSAGE_BYTES: usize = 4096;
/// The width of the table's columns.
const VOTER_ID_CHARACTERS: usize = 255;

/// Who voted for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// 1 to 255 characters, none of them NUL, so that the table takes it.
    pub voter_id: String,
    /// For what.
    pub vote: Choice,
}

/// Why a message is no vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Longer than [`MESSAGE_BYTES`].
    TooLong,
    /// Not JSON, or not UTF-8.
    NotJson,
    /// JSON, and not an object.
    NotAnObject,
    /// `voter_id` is missing, no text, empty, longer than 255 characters, or holds NUL.
    VoterId,
    /// `vote` is missing or neither `a` nor `b`.
    Vote,
    /// PostgreSQL does not take it.
    Database,
}

impl Flaw {
    /// As a label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::VoterId => "voter_id",
            Self::Vote => "vote",
            Self::Database => "database",
        }
    }
}

impl Ballot {
    /// The message.
    #[must_use]
    pub fn message(&self) -> String {
        message(&self.voter_id, self.vote)
    }

    /// Reads a message; fields that it has beside the two are passed over.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(message: &[u8]) -> Result<Self, Flaw> {
        if message.len() > MESSAGE_BYTES {
            return Err(Flaw::TooLong);
        }
        let fields: Map<String, Value> = serde_json::from_slice(message).map_err(|error| match error.is_data() {
            true => Flaw::NotAnObject,
            false => Flaw::NotJson,
        })?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let voter_id = text("voter_id").filter(|id| is_voter_id(id)).ok_or(Flaw::VoterId)?;
        let vote = text("vote").and_then(Choice::read).ok_or(Flaw::Vote)?;
        Ok(Self { voter_id: voter_id.to_owned(), vote })
    }
}

fn is_voter_id(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0') && text.chars().count() <= VOTER_ID_CHARACTERS
}

/// The message of a vote.
#[must_use]
pub fn message(voter_id: &str, vote: Choice) -> String {
    #[derive(Serialize)]
    struct Fields<'a> {
        voter_id: &'a str,
        vote: &'static str,
    }
    // Two texts can always be written as JSON.
    serde_json::to_string(&Fields { voter_id, vote: vote.as_str() }).unwrap_or_default()
}

/// For each voter the last of their votes, in no order.
#[must_use]
pub fn last_of_each(ballots: impl DoubleEndedIterator<Item = Ballot>) -> Vec<Ballot> {
    let mut seen = std::collections::HashSet::new();
    ballots.rev().filter(|ballot| seen.insert(ballot.voter_id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(message: &str, want: Result<(&str, Choice), Flaw>) {
        let got = Ballot::read(message.as_bytes());
        assert_eq!(got, want.map(|(id, vote)| Ballot { voter_id: id.to_owned(), vote }), "{message}");
    }

    #[test]
    fn messages_of_other_producers_are_read() {
        check(r#"{"voter_id":"1f","vote":"a"}"#, Ok(("1f", Choice::A)));
        // As Python's json.dumps writes it.
        check(r#"{"voter_id": "1f", "vote": "b"}"#, Ok(("1f", Choice::B)));
        check(r#"{"vote":"b","at":17,"voter_id":"josé"}"#, Ok(("josé", Choice::B)));
    }

    #[test]
    fn what_is_no_vote_has_a_reason() {
        check("", Err(Flaw::NotJson));
        check("vote=a", Err(Flaw::NotJson));
        check(r#"{"voter_id":"1f","vote":"a""#, Err(Flaw::NotJson));
        check("5", Err(Flaw::NotAnObject));
        check(r#"["1f","a"]"#, Err(Flaw::NotAnObject));
        check(r#"{"vote":"a"}"#, Err(Flaw::VoterId));
        check(r#"{"voter_id":7,"vote":"a"}"#, Err(Flaw::VoterId));
        check(r#"{"voter_id":"","vote":"a"}"#, Err(Flaw::VoterId));
        check(r#"{"voter_id":"a\u0000b","vote":"a"}"#, Err(Flaw::VoterId));
        check(&format!(r#"{{"voter_id":"{}","vote":"a"}}"#, "x".repeat(256)), Err(Flaw::VoterId));
        check(r#"{"voter_id":"1f"}"#, Err(Flaw::Vote));
        check(r#"{"voter_id":"1f","vote":"c"}"#, Err(Flaw::Vote));
        check(r#"{"voter_id":"1f","vote":["a"]}"#, Err(Flaw::Vote));
        check(&"x".repeat(MESSAGE_BYTES + 1), Err(Flaw::TooLong));
        assert_eq!(Ballot::read(b"{\"voter_id\":\"\xff\",\"vote\":\"a\"}"), Err(Flaw::NotJson));
    }

    #[test]
    fn a_deeply_nested_message_is_refused_and_does_not_overflow_the_stack() {
        check(&"[".repeat(MESSAGE_BYTES), Err(Flaw::NotAnObject));
        check(&format!(r#"{{"a":{}"#, "[".repeat(4000)), Err(Flaw::NotJson));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in "[^\0]{1,255}", a: bool) {
            let ballot = Ballot { voter_id: id, vote: if a { Choice::A } else { Choice::B } };
            let message = ballot.message();
            prop_assume!(message.len() <= MESSAGE_BYTES);
            prop_assert_eq!(Ballot::read(message.as_bytes()), Ok(ballot));
        }

        #[test]
        fn the_last_vote_of_each_voter_is_kept(votes in proptest::collection::vec((0u8..9, any::<bool>()), 0..60)) {
            let ballots: Vec<_> = votes
                .iter()
                .map(|(id, a)| Ballot { voter_id: id.to_string(), vote: if *a { Choice::A } else { Choice::B } })
                .collect();
            let mut model = HashMap::new();
            for ballot in &ballots {
                model.insert(ballot.voter_id.clone(), ballot.vote);
            }
            let kept = last_of_each(ballots.into_iter());
            prop_assert_eq!(kept.len(), model.len());
            for ballot in kept {
                prop_assert_eq!(model.get(&ballot.voter_id), Some(&ballot.vote));
            }
        }
    }
}
