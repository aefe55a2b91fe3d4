//! Which container this is.

use std::path::Path;

/// The id of the container that this process is in, or else the machine's name, which is the id's beginning in a
/// container that was not given another.
pub fn own_id() -> Option<String> {
    let read = |path: &str| std::fs::read_to_string(Path::new("/proc/self").join(path)).unwrap_or_default();
    from_mounts(&read("mountinfo")).or_else(|| from_cgroups(&read("cgroup"))).or_else(host_name)
}

fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

/// Docker mounts these files of the container out of the folder that has its id for a name; so does containerd. The
/// fourth field is the path within the file system that is mounted, the fifth where it is mounted (proc(5)).
fn from_mounts(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (from, to) = (fields.next()?, fields.next()?);
        let own = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&to);
        let folder = from.rsplit('/').nth(1)?;
        (own && is_id(folder)).then(|| folder.to_owned())
    })
}

/// `4:memory:/docker/ID` in version 1, `0::/system.slice/docker-ID.scope` in version 2 without a namespace of its own.
fn from_cgroups(cgroups: &str) -> Option<String> {
    cgroups.lines().find_map(|line| {
        let last = line.rsplit('/').next()?;
        let last = last.strip_suffix(".scope").unwrap_or(last);
        let id = last.rsplit('-').next()?;
        is_id(id).then(|| id.to_owned())
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "63b2ef4d4c4d33b2f5a1a0c2b3e6f8f1d7c9e0b4a5968778695a4b3c2d1e0f90";

    #[test]
    fn the_id_is_in_the_mounts() {
        let docker = format!(
            "1006 864 0:226 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/ABC\n\
             1013 1006 254:1 /var/lib/docker/volumes/{other}/_data /data rw - ext4 /dev/vda1 rw\n\
             1014 1006 254:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda1 rw\n\
             1015 1006 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n",
            other = "f".repeat(64),
        );
        assert_eq!(from_mounts(&docker).as_deref(), Some(ID));
        assert_eq!(from_mounts("22 28 0:20 / /sys rw - sysfs sysfs rw\n25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), None);
        assert_eq!(from_mounts("nonsense\n\n"), None);
    }

    #[test]
    fn the_id_is_in_the_cgroups() {
        for (text, want) in [
            (format!("12:cpuset:/docker/{ID}\n0::/\n"), Some(ID)),
            (format!("0::/system.slice/docker-{ID}.scope\n"), Some(ID)),
            (format!("0::/kubepods.slice/pod7/cri-containerd-{ID}.scope\n"), Some(ID)),
            ("0::/\n".to_owned(), None),
            ("0::/user.slice/user-1000.slice/session-1.scope\n".to_owned(), None),
        ] {
            assert_eq!(from_cgroups(&text).as_deref(), want, "{text}");
        }
    }
}
