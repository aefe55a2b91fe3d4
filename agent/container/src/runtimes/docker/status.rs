//! What the list of containers says of one in a sentence, made for people: `Up 5 minutes (healthy)`.

use super::super::Health;

/// How many seconds ago a container ended, by `Exited (137) 5 minutes ago`: as many as it says at least.
pub(super) fn ended_ago(status: &str) -> Option<f64> {
    let words = status.strip_suffix(" ago")?.rsplit_once(") ")?.1;
    let (number, unit) = match words.split_once(' ')? {
        ("Less", _) => (0.0, "second"),
        ("About", rest) => (1.0, rest.rsplit(' ').next()?),
        (number, unit) => (number.parse().ok()?, unit),
    };
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1.0,
        "minute" => 60.0,
        "hour" => 3600.0,
        "day" => 86_400.0,
        "week" => 604_800.0,
        "month" => 2_592_000.0,
        "year" => 31_536_000.0,
        _ => return None,
    };
    Some(number * seconds)
}

/// Its health by `Up 5 minutes (healthy)`, `Up 2 seconds (health: starting)`, `Up 3 hours`.
pub(super) fn health_in(status: &str) -> Health {
    match status.rsplit_once('(').map(|(_, rest)| rest.trim_end_matches(')')) {
        Some("healthy") => Health::Healthy,
        Some("unhealthy") => Health::Unhealthy,
        Some("health: starting" | "starting") => Health::Starting,
        _ => Health::Unchecked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_of_a_status() {
        assert_eq!(health_in("Up 5 minutes (healthy)"), Health::Healthy);
        assert_eq!(health_in("Up 5 minutes (unhealthy)"), Health::Unhealthy);
        assert_eq!(health_in("Up 2 seconds (health: starting)"), Health::Starting);
        assert_eq!(health_in("Up 2 seconds"), Health::Unchecked);
        assert_eq!(health_in("Up 2 seconds (Paused)"), Health::Unchecked);
    }

    #[track_caller]
    fn check_ago(status: &str, want: Option<f64>) {
        assert_eq!(ended_ago(status), want, "{status}");
    }

    #[test]
    fn how_long_ago_it_ended() {
        check_ago("Exited (137) 5 minutes ago", Some(300.0));
        check_ago("Exited (0) Less than a second ago", Some(0.0));
        check_ago("Exited (0) About a minute ago", Some(60.0));
        check_ago("Exited (0) About an hour ago", Some(3600.0));
        check_ago("Exited (0) 1 second ago", Some(1.0));
        check_ago("Exited (255) 3 weeks ago", Some(1_814_400.0));
        check_ago("Exited (0) ", None);
        check_ago("Up 5 minutes", None);
        check_ago("Exited (0) a while ago", None);
    }
}
