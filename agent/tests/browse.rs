//! The live pages in a real browser, with a real container.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use provisioning_parts::{Browser, Container, demo_image};
use running::Agent;

const ENGINE: &str = "--docker=unix:///var/run/docker.sock";
/// It would set a mark if a browser took it for part of the page.
const ATTACK: &str = "<img src=x onerror=\"window.attacked=1\"><script>window.attacked=1</script>";

/// A cgroup with a name that would be markup; it goes with the test.
struct Markup(Vec<std::path::PathBuf>);

impl Markup {
    fn make() -> Self {
        let name = format!("<script>window.attacked=1<%2Fscript>{}", std::process::id());
        let places = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(std::path::Path::new);
        let place = places.into_iter().find(|place| place.join("cgroup.procs").exists()).expect("a cgroup hierarchy");
        let path = place.join(name);
        std::fs::create_dir(&path).unwrap();
        Self(vec![path])
    }

    fn name(&self) -> &str {
        self.0[0].file_name().unwrap().to_str().unwrap()
    }
}

impl Drop for Markup {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// No error, nothing from elsewhere, and no name that was taken for markup.
async fn check_harmless(browser: &Browser, page: &str) {
    assert_eq!(browser.console_errors().await, Vec::<String>::new(), "{page}");
    let elsewhere = "return performance.getEntriesByType('resource').map(entry => entry.name) \
                     .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    assert_eq!(browser.script(elsewhere).await, serde_json::json!([]), "{page}");
    assert_eq!(browser.script("return window.attacked === undefined").await, true, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_page_lives() {
    let agent = Agent::start(&[ENGINE]);
    let label = format!("note={ATTACK}");
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; while :; do :; done";
    let options = ["--memory=64m", "--cpus=0.3", "--label", &label];
    let container = Container::run("browse", &options, demo_image(), &[script]);
    let markup = Markup::make();
    let base = format!("http://{}", agent.address);
    let browser = Browser::start().await;

    browser.open(&format!("{base}/docker/")).await;
    browser
        .wait_until(&format!(
            "return [...document.querySelectorAll('#rows a')].some(a => a.textContent === '{}')",
            container.name
        ))
        .await;
    check_harmless(&browser, "all containers").await;
    browser.screenshot("agent-containers").await;
    browser.click(&format!("#rows a[href='/docker/{}']", container.name)).await;

    browser.wait_for_text("#title", &container.name).await;
    browser.wait_for_text("#labels", ATTACK).await;
    browser.wait_for_text("#gauges", "of 0.3 CPUs allowed").await;
    browser.wait_for_text("#gauges", "of 64.0 MiB allowed").await;
    browser.wait_until("return document.querySelectorAll('#charts svg path').length >= 6").await;
    browser.wait_for_text("#processes", "busybox").await;
    // The figures are those of now: the line grows, and the CPU time is about what is allowed.
    let line = "return document.querySelector('#charts svg .line0').getAttribute('d').split('L').length";
    let before = browser.script(line).await.as_u64().unwrap();
    browser.wait_until(&format!("{line} > {}", before + 2)).await;
    let cpu = "return parseFloat(document.querySelector('#gauges strong').textContent)";
    let cpu = browser.wait_until(&format!("{cpu} > 0.1 ? {} : false", &cpu["return ".len()..])).await.as_f64().unwrap();
    assert!(cpu < 0.6, "{cpu} CPU");
    check_harmless(&browser, "one container").await;
    browser.screenshot("agent-container").await;

    let in_address: String = markup.name().bytes().map(|byte| format!("%{byte:02X}")).collect();
    browser.open(&format!("{base}/containers/")).await;
    browser.wait_for_text("#below", markup.name()).await;
    check_harmless(&browser, "the machine").await;
    browser.open(&format!("{base}/containers/{in_address}")).await;
    browser.wait_for_text("#crumbs", markup.name()).await;
    browser.wait_for_text("#no-processes", "None that can be seen").await;
    browser.wait_for_text("#charts", "No data").await;
    check_harmless(&browser, "a name of markup").await;

    // What is no container says so; the refused question is the browser's only complaint.
    browser.open(&format!("{base}/docker/nobody")).await;
    browser.wait_for_text("#trouble", "no container \"nobody\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_on_a_phone() {
    let agent = Agent::start(&[]);
    let browser = Browser::phone().await;
    browser.open(&format!("http://{}/containers/", agent.address)).await;
    browser.wait_until("return document.querySelectorAll('#charts svg path').length >= 6").await;
    browser.wait_for_text("#processes", "atalaia-agent").await;
    let fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(browser.script(fits).await, true, "the page is wider than the phone");
    browser.screenshot("agent-phone").await;
    check_harmless(&browser, "on a phone").await;
}
