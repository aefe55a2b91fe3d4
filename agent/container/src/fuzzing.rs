//! Doors for the fuzz targets in `fuzz/`; not part of the crate's interface.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::identity::{container_of_path, label_names, sanitised};
use crate::{Containers, LabelPolicy, Renames, Sets};

pub use crate::runtimes::containerd_messages;

/// Has the clients of all runtimes talk with who listens at their addresses, until each has failed once or the time is
/// over. What they learned stays. Instead of [`Containers::start`], inside a tokio runtime.
pub async fn talk(containers: &Containers, longest: Duration) {
    let inner = &containers.inner;
    let mut watches = JoinSet::new();
    let mut posts = 0;
    for runtime in inner.runtimes.lock().drain(..) {
        watches.spawn(runtime.watch(inner.view.clone()));
        posts += 1;
    }
    let all_failed = async {
        loop {
            let failed = inner.view.posts().iter().filter(|post| !post.telling().failures.is_empty()).count();
            if failed == posts {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(longest, all_failed).await;
    // Their posts would go with them, and with the posts what was learned.
    watches.detach_all();
}

/// Reads text as each of the small languages that names, flags and answers are written in.
pub fn words(text: &str) {
    if let Some(id) = container_of_path(text) {
        assert_eq!(id.len(), 64);
    }
    let labels = label_names(text.split('\n').filter_map(|line| line.split_once('=')), &LabelPolicy::default());
    assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "sorted, and none twice");
    let is_legal = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    assert!(labels.iter().all(|(name, _)| is_legal(name)) && is_legal(&sanitised("", text)));
    let _ = (Renames::parse(text.split('\n')), Sets::from_flags(text, ""), Sets::from_flags("", text));
    crate::runtimes::docker_words(text);
}
