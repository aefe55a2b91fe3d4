//! Whether what a service leans on answers.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long one check may take before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(2);

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> Answer + Send + Sync>;

/// The named checks behind `/readyz`. Without any, a service that runs is ready.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
}

impl Readiness {
    /// Adds a check: what it is about, such as `redis`, and what tells whether it is well, or what is wrong.
    #[must_use]
    pub fn with<F>(mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Asks all at once.
    ///
    /// # Errors
    /// One line for each check that failed or took longer than 2 seconds: `name: what is wrong`.
    pub async fn ask(&self) -> Result<(), String> {
        let asked = self.checks.iter().map(|(name, check)| async move {
            match tokio::time::timeout(DEADLINE, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some((name, reason)),
                Err(_) => Some((name, format!("no answer in {} s", DEADLINE.as_secs()))),
            }
        });
        let mut failed = String::new();
        for (name, reason) in futures_util::future::join_all(asked).await.into_iter().flatten() {
            // Writing to a string cannot fail.
            let _ = writeln!(failed, "{name}: {reason}");
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_and_what_hangs_is_named_and_what_is_well_is_not() {
        let readiness = Readiness::default()
            .with("redis", || async { Err("connection refused".to_owned()) })
            .with("postgres", std::future::pending)
            .with("folder", || async { Ok(()) });
        assert_eq!(readiness.ask().await.unwrap_err(), "redis: connection refused\npostgres: no answer in 2 s\n");
        assert_eq!(Readiness::default().ask().await, Ok(()));
    }
}
