//! Everything below a prefix, as behind a reverse proxy.

use provisioning_parts::{Process, eventually};

use crate::http::{get, post_form};
use crate::support::{collector, collector_binary};

#[test]
fn all_is_below_the_external_urls_path() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prometheus.yml"), "global: { scrape_interval: 1s }").unwrap();
    let mut process = Process::start(
        collector_binary(),
        &[
            &format!("--config.file={}", dir.path().join("prometheus.yml").display()),
            &format!("--storage.tsdb.path={}", dir.path().join("data").display()),
            "--web.listen-address=127.0.0.1:0",
            "--web.external-url=http://monitor.example/prom/",
            "--web.enable-lifecycle",
        ],
    );
    let address = process.await_addresses(1).remove(0);
    eventually(20, "ready", || provisioning_parts::get(&address, "/prom/-/ready"));

    for path in ["/prom/metrics", "/prom/-/healthy", "/prom/api/v1/status/buildinfo", "/prom/api/v1/query?query=1"] {
        assert_eq!(get(&address, path).status, 200, "{path}");
        let bare = path.strip_prefix("/prom").unwrap();
        assert_eq!(get(&address, bare).status, 404, "{bare}");
    }
    assert_eq!(get(&address, "/prom/api/v1/nonsense").json()["errorType"], "not_found");

    let page = get(&address, "/prom/");
    assert_eq!(page.status, 200);
    links_lead_somewhere(&address, "/prom/", page.text());
    // Without the slash relative links would lead out of the prefix, so it sends there; and so does the root.
    for path in ["/prom", "/"] {
        let sent = get(&address, path);
        assert_eq!((sent.status, sent.header("location")), (302, Some("/prom/")), "{path}: {sent:?}");
    }
    assert_eq!(post_form(&address, "/prom/-/quit", "").status, 200);
    assert_eq!(process.await_exit().code(), Some(0));
}

#[test]
fn the_page_is_at_the_root_without_a_prefix() {
    let collector = collector("global: {}", &[]);
    let page = get(&collector.address, "/");
    assert_eq!(page.status, 200);
    links_lead_somewhere(&collector.address, "/", page.text());
}

/// Every link of the page is to itself or, read relative to where the page is, to something that answers 200.
#[track_caller]
fn links_lead_somewhere(address: &str, at: &str, page: &str) {
    let base = url::Url::parse(&format!("http://{address}{at}")).unwrap();
    let links: Vec<&str> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.contains(&"metrics"), "{links:?}");
    for link in links {
        let target = base.join(link).unwrap();
        let there = get(address, target.path());
        assert_eq!(there.status, 200, "{link} leads to {target}");
    }
}
