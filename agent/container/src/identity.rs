//! Who a cgroup is: the container's id in its path, and its labels in metrics.

use crate::config::LabelPolicy;

/// The id of the container whose own cgroup this is: 64 hexadecimal digits that are the last part of the path
/// (`/docker/<id>`, cgroupfs driver) or stand between a runtime's prefix and `.scope` there
/// (`/system.slice/docker-<id>.scope`, systemd driver). Neither those that watch over containers (`conmon`) nor Podman's
/// pods are any, though they bear such ids. A name without a path stands for the last part of one.
pub(crate) fn container_of_path(path: &str) -> Option<&str> {
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    let name = match last.strip_suffix(".scope") {
        Some(unit) => unit.rsplit('-').next()?,
        None => last.rsplit([':', '-']).next()?,
    };
    let is_pod = name == last && (above == "/libpod_parent" || above.ends_with("/libpod_parent"));
    if is_pod || last.contains("-conmon-") {
        return None;
    }
    is_container_id(name).then_some(name)
}

/// Whether a container's cgroup bears CRI-O's prefix.
pub(crate) fn is_of_crio(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|last| last.starts_with("crio-"))
}

/// 64 hexadecimal digits, lower case.
pub(crate) fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A container's labels as labels of its series: `container_label_` and the key with every character that a label
/// name may not have made `_`, sorted. Of two keys that become the same, the one that needed no change is kept, or
/// else the first in order, so that the choice is the same each time.
pub(crate) fn label_names<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    policy: &LabelPolicy,
) -> Vec<(String, String)> {
    let kept =
        labels.into_iter().filter(|(key, _)| policy.store_all || policy.allowed.iter().any(|allowed| allowed == key));
    named(LABEL, kept)
}

/// As [`label_names`], of the environment: variables that were chosen where they were learned.
pub(crate) fn variable_names<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    named(ENVIRONMENT, variables)
}

fn named<'a>(prefix: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut kept: Vec<_> = pairs
        .into_iter()
        .map(|(key, value)| {
            let name = sanitised(prefix, key);
            let changed = name.strip_prefix(prefix) != Some(key);
            (name, changed, key, value)
        })
        .collect();
    kept.sort_unstable();
    kept.dedup_by(|b, a| a.0 == b.0);
    kept.into_iter().map(|(name, _, _, value)| (name, value.to_owned())).collect()
}

/// How the labels of labels begin.
pub(crate) const LABEL: &str = "container_label_";
/// How the labels of variables begin.
pub(crate) const ENVIRONMENT: &str = "container_env_";

/// A prefix and a key with every character that a label name may not have made `_`.
pub(crate) fn sanitised(prefix: &str, key: &str) -> String {
    let characters = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' });
    prefix.chars().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "776b5118f8733ce092fb3460c7fae017c9a3702d61ed882cce4186cf208b0047";

    #[track_caller]
    fn check(path: &str, want: bool) {
        let path = path.replace("ID", ID);
        assert_eq!(container_of_path(&path), want.then_some(ID), "{path}");
    }

    #[test]
    fn containers() {
        check("/docker/ID", true);
        check("cadvisor-docker-ID", true);
        check("/system.slice/docker-ID.scope", true);
        check("/docker/abc/docker/ID", true);
        check("/my.slice/my-team.slice/docker-ID.scope", true);
        check("/kubepods/burstable/pod1/ID", true);
        check("/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope", true);
        check("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID", true);
        check("/machine.slice/libpod-ID.scope", true);
        check("/libpod_parent/libpod-ID", true);
        check("/libpod_parent/ID/libpod-ID", true);
        check("/machine.slice/machine-libpod_pod_ID.slice/libpod-ID.scope", true);
        check("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", true);
        check("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope", true);
    }

    #[test]
    fn not_containers() {
        check("/", false);
        check("/docker", false);
        check("/docker/ID/init.scope", false);
        check("/docker/ID0", false);
        check("/docker/776b5118", false);
        check("/libpod_parent/ID", false);
        check("/machine.slice/machine-libpod_pod_ID.slice", false);
        check("/machine.slice/libpod-conmon-ID.scope", false);
        check("/kubepods.slice/crio-conmon-ID.scope", false);
        check("/machine.slice/libpod-ID.scope/container", false);
        check("/system.slice/docker-ID.mount", false);
        check("/docker/776B5118F8733CE092FB3460C7FAE017C9A3702D61ED882CCE4186CF208B0047", false);
    }

    #[track_caller]
    fn check_labels(policy: &LabelPolicy, want: &[(&str, &str)]) {
        let labels =
            [("com.docker.compose.project", "shop"), ("tier", "web"), ("a.b", "1"), ("a-b", "2"), ("a_b", "3")];
        let got = label_names(labels, policy);
        assert_eq!(got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), want);
    }

    #[test]
    fn labels() {
        check_labels(
            &LabelPolicy::default(),
            &[
                ("container_label_a_b", "3"),
                ("container_label_com_docker_compose_project", "shop"),
                ("container_label_tier", "web"),
            ],
        );
        let some = LabelPolicy {
            store_all: false,
            allowed: vec!["tier".to_owned(), "a.b".to_owned(), "a-b".to_owned()],
            ..LabelPolicy::default()
        };
        check_labels(&some, &[("container_label_a_b", "2"), ("container_label_tier", "web")]);
        check_labels(&LabelPolicy { store_all: false, ..LabelPolicy::default() }, &[]);
    }

    #[test]
    fn letters_of_other_scripts_are_replaced() {
        let got = label_names([("größe", "x"), ("", "y")], &LabelPolicy::default());
        assert_eq!(got, [("container_label_".into(), "y".into()), ("container_label_gr__e".into(), "x".into())]);
    }
}
