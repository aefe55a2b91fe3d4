//! SIGHUP, `/-/reload`, and files that are replaced while the agent runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use provisioning_parts::eventually;
use running::web::{Authority, Curl, USERS, folder_with_certificates, replace, tls};
use running::{Agent, request};

#[test]
fn replaced_certificates_are_shown_to_the_next_who_comes() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    std::fs::write(&file, tls("")).unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display())]);
    let url = format!("https://localhost:{}/healthz", agent.address.rsplit_once(':').unwrap().1);
    let curl = Curl(folder.path().to_owned());
    assert_eq!(curl.status(&url, &[]), Ok(200));
    let new = Authority::new("new");
    new.write(folder.path(), "ca");
    assert!(curl.status(&url, &[]).is_err());
    // First the certificate alone, which does not go with the old key: nothing changes then.
    let made = tempfile::tempdir().unwrap();
    new.sign(made.path(), "server", &["localhost"]);
    let move_in = |name: &str| {
        std::fs::copy(made.path().join(name), folder.path().join(name)).unwrap();
    };
    move_in("server.crt");
    eventually(20, "the pair is found wrong", || {
        let _ = curl.status(&url, &[]);
        let log = agent.process.log();
        if log.contains("certificate and key cannot be used") { Ok(()) } else { Err(log) }
    });
    assert_eq!(curl.status(&url, &["--insecure"]), Ok(200));
    move_in("server.key");
    eventually(20, "the new certificate is shown", || match curl.status(&url, &[]) {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let log = agent.process.log();
    assert_eq!(log.lines().filter(|line| line.contains("cannot use the changed web")).count(), 1, "{log}");
}

#[test]
fn users_come_into_force_without_a_word() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    std::fs::write(&file, "").unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display())]);
    assert_eq!(agent.get("/healthz").status, 200);
    replace(&file, USERS);
    eventually(20, "users are asked for", || match agent.get("/healthz").status {
        401 => Ok(()),
        other => Err(other.to_string()),
    });
}

#[test]
fn reloads_by_request() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    std::fs::write(&file, "").unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display()), "--web.enable-lifecycle"]);
    let ask = |method: &str| request(&agent.address, method, "/-/reload", &[]);
    assert_eq!((ask("GET").status, ask("POST").status, ask("PUT").status), (405, 200, 200));
    replace(&file, "\nbasic_auth_users: {alice: no-hash}\n");
    let refused = ask("POST");
    let want = format!("cannot reload: {}:2: basic_auth_users.alice: not a bcrypt hash", file.display());
    assert_eq!((refused.status, refused.text().starts_with(&want)), (500, true), "{}", refused.text());
    assert_eq!(refused.text().lines().count(), 1, "{}", refused.text());
    let page = agent.get("/metrics");
    assert!(page.text().contains("\natalaia_web_config_last_reload_successful 0\n"));
    let log = agent.process.log();
    assert!(log.contains("the old one stays") && !log.contains("no-hash"), "{log}");
    replace(&file, USERS);
    assert_eq!(ask("POST").status, 200);
    assert_eq!(ask("POST").status, 401);
}

#[test]
fn reloading_by_request_has_to_be_enabled() {
    let agent = Agent::start(&[]);
    let ask = |method: &str| request(&agent.address, method, "/-/reload", &[]);
    assert_eq!((ask("GET").status, ask("POST").status, ask("PUT").status), (405, 403, 403));
    assert!(ask("POST").text().contains("--web.enable-lifecycle"));
}
