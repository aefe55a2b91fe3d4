//! Where votes are handed in.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use services_kit as kit;

use super::metrics::{Metrics, Reason};
use super::voter::{self, VoterId};
use crate::ballot;
use crate::options::{self, Choice};
use crate::page::{self, Template};

const PAGE: Template = Template(include_str!("../../page/vote.html"));
/// The Redis list that votes are pushed onto, at its right end.
const LIST: &str = "votes";

/// What the handlers share.
pub struct Desk {
    options: options::Settings,
    redis: kit::redis::Client,
    metrics: Metrics,
    /// This machine's name: in a container, the container's.
    host: String,
}

impl Desk {
    /// One that queues votes there.
    pub fn new(options: options::Settings, redis: kit::redis::Client, metrics: Metrics) -> Arc<Self> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Arc::new(Self { options, redis, metrics, host })
    }

    async fn queue(&self, voter: &VoterId, choice: Choice) -> Result<(), kit::redis::Error> {
        let message = ballot::message(voter.as_str(), choice);
        self.redis.ask::<u64>(redis::cmd("RPUSH").arg(LIST).arg(message)).await.map(drop)
    }
}

/// What became of a vote.
enum Outcome {
    /// Nothing was handed in.
    None,
    /// It is queued.
    Queued(Choice),
    /// It is not, and could be handed in again.
    NotQueued(Choice, Reason),
    /// The request does not say for what, in these words.
    Wrong(String),
}

/// `GET /`: the page.
pub async fn show(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Result<Response, kit::Refusal> {
    let voter = voter(&headers)?;
    Ok(desk.answer(&headers, &voter, &Outcome::None))
}

/// `POST /`: a vote, in the form field `vote`.
pub async fn take(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Result<Response, kit::Refusal> {
    let voter = voter(&headers)?;
    let outcome = match choice(form) {
        Err(wrong) => {
            desk.metrics.refused(Reason::Form);
            Outcome::Wrong(wrong)
        }
        Ok(choice) => match desk.queue(&voter, choice).await {
            Ok(()) => {
                desk.metrics.accepted(choice);
                Outcome::Queued(choice)
            }
            Err(error) => {
                tracing::warn!(%error, "a vote is not queued");
                let reason = Reason::from(&error);
                desk.metrics.refused(reason);
                Outcome::NotQueued(choice, reason)
            }
        },
    };
    Ok(desk.answer(&headers, &voter, &outcome))
}

/// Who votes; somebody new if the browser does not say.
fn voter(headers: &HeaderMap) -> Result<VoterId, kit::Refusal> {
    let known = voter::id(headers).map_or_else(VoterId::random, Ok);
    known.map_err(|error| kit::Refusal::unavailable(format!("no randomness for a new voter: {error}")))
}

/// For what; or what is wrong with the form, in words that name the field.
fn choice(form: Result<Form<Vec<(String, String)>>, FormRejection>) -> Result<Choice, String> {
    let Form(fields) = form.map_err(|error| {
        let reason = error.body_text();
        format!("The form field “vote” cannot be read: {reason}.")
    })?;
    let mut votes = fields.iter().filter(|(name, _)| name == "vote").map(|(_, value)| value);
    match (votes.next(), votes.next()) {
        (None, _) => Err("The form field “vote” is missing: it must be a or b.".to_owned()),
        (Some(_), Some(_)) => Err("The form field “vote” is there twice: once is right.".to_owned()),
        (Some(vote), None) => {
            Choice::read(vote).ok_or_else(|| "The form field “vote” must be a or b, and is neither.".to_owned())
        }
    }
}

impl Desk {
    fn answer(&self, headers: &HeaderMap, voter: &VoterId, outcome: &Outcome) -> Response {
        let (status, kept) = match outcome {
            Outcome::None => (StatusCode::OK, None),
            Outcome::Queued(choice) => (StatusCode::OK, Some(*choice)),
            Outcome::NotQueued(..) => (StatusCode::SERVICE_UNAVAILABLE, None),
            Outcome::Wrong(_) => (StatusCode::BAD_REQUEST, None),
        };
        let mut response = page::html(self.page(kept.or_else(|| voter::last_choice(headers)), outcome));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // The page is one voter's own.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        for cookie in [Some(voter::keep_id(voter)), kept.map(voter::keep_choice)].into_iter().flatten() {
            // A cookie of ours is made of letters, digits and punctuation, which are all allowed there.
            if let Ok(value) = HeaderValue::try_from(cookie) {
                headers.append(SET_COOKIE, value);
            }
        }
        response
    }

    /// The page of a voter whose vote, as far as it is known, is `voted`.
    fn page(&self, voted: Option<Choice>, outcome: &Outcome) -> String {
        let name = |choice| self.options.name(choice);
        let status = voted.map_or_else(
            || "You have not voted yet.".to_owned(),
            |choice| format!("Your vote: {}. (You can change it.)", name(choice)),
        );
        let (problem, again) = match outcome {
            Outcome::None | Outcome::Queued(_) => (String::new(), None),
            Outcome::Wrong(reason) => (reason.clone(), None),
            Outcome::NotQueued(choice, reason) => (problem(name(*choice), *reason), Some(*choice)),
        };
        let mark = |choice| match () {
            () if again == Some(choice) => "Try again",
            () if voted == Some(choice) => "Your vote",
            () => "",
        };
        let pressed = |choice| if voted == Some(choice) { "true" } else { "false" };
        PAGE.fill(&[
            ("option_a", &self.options.option_a),
            ("option_b", &self.options.option_b),
            ("mark_a", mark(Choice::A)),
            ("mark_b", mark(Choice::B)),
            ("pressed_a", pressed(Choice::A)),
            ("pressed_b", pressed(Choice::B)),
            ("problem", &problem),
            ("status", &status),
            ("host", &self.host),
        ])
    }
}

fn problem(name: &str, reason: Reason) -> String {
    match reason {
        Reason::NoAnswer => format!(
            "We cannot tell whether your vote for {name} was counted: the queue for votes gave no answer. \
             Press the button again in a moment; only your last vote counts, never two."
        ),
        _ => format!(
            "Your vote for {name} was not counted: the queue for votes is away. Press the button again in a moment."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(option_a: &str) -> Arc<Desk> {
        let options = options::Settings { option_a: option_a.to_owned(), option_b: "Dogs".to_owned() };
        let redis = kit::redis::Settings { redis_host: "h".to_owned(), redis_port: 1, redis_password: None };
        Desk::new(options, kit::redis::Client::new(redis), Metrics::default())
    }

    #[test]
    fn all_places_of_the_page_are_known_and_escaped() {
        let outcome = Outcome::NotQueued(Choice::A, Reason::Away);
        let page = desk("<script>x</script>").page(Some(Choice::B), &outcome);
        assert!(!page.contains("{{") && !page.contains("<script"), "{page}");
        assert!(page.contains("for &lt;script&gt;x&lt;/script&gt; was not counted"), "{page}");
        let filled = PAGE.fill(&[]);
        assert!(filled.len() < PAGE.0.len() - 100);
    }

    #[track_caller]
    fn check(fields: &[(&str, &str)], want: Result<Choice, &str>) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(choice(Ok(Form(fields))), want.map_err(str::to_owned));
    }

    #[test]
    fn a_wrong_form_is_told_by_its_field() {
        check(&[("vote", "a")], Ok(Choice::A));
        check(&[("x", "1"), ("vote", "b")], Ok(Choice::B));
        check(&[("x", "1")], Err("The form field “vote” is missing: it must be a or b."));
        check(&[("vote", "c")], Err("The form field “vote” must be a or b, and is neither."));
        check(&[("vote", "a"), ("vote", "b")], Err("The form field “vote” is there twice: once is right."));
    }
}
