//! What a voter sees: Chromium votes on one page and watches the other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[allow(dead_code, reason = "each test uses its part")]
mod app;

use app::App;
use provisioning_parts::{Browser, eventually};

/// What a page that is hard to use would say: a contrast below 4.5, a name that is missing, a width beyond the window.
const COMPLAINTS: &str = r#"
    const luminance = (color) => {
        const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((part) => {
            const value = part / 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const color = getComputedStyle(e).backgroundColor;
            if (color !== "rgba(0, 0, 0, 0)") return color;
        }
        return "rgb(255, 255, 255)";
    };
    const complaints = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
        if (text !== "" && element.checkVisibility()) {
            const [x, y] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
            const contrast = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
            if (contrast < 4.5) complaints.push(`contrast ${contrast.toFixed(2)} of ${text}`);
            if (element.scrollWidth > element.clientWidth && getComputedStyle(element).display !== "inline") {
                complaints.push(`${text} is wider than its place`);
            }
        }
    }
    for (const button of document.querySelectorAll("button")) {
        const box = button.getBoundingClientRect();
        if (button.innerText.trim() === "") complaints.push("a button without a name");
        if (box.width < 44 || box.height < 44) complaints.push(`a button of ${box.width} by ${box.height}`);
    }
    if (document.documentElement.scrollWidth > innerWidth) complaints.push("wider than the window");
    if (!document.documentElement.lang) complaints.push("no language");
    if (document.querySelectorAll("h1").length !== 1) complaints.push("not one heading");
    return complaints;
"#;

async fn assert_usable(browser: &Browser, what: &str) {
    assert_eq!(browser.script(COMPLAINTS).await, serde_json::json!([]), "{what}");
    assert_eq!(browser.console_errors().await, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn a_vote_changes_the_result_on_an_open_page() {
    let mut app = App::start();
    app.vote("1f", "b");
    app.await_stored();
    let (voter, watcher) = (Browser::start().await, Browser::phone().await);
    watcher.open(&app.result.url("/")).await;
    watcher.wait_for_text("#total", "1 vote").await;
    watcher.wait_for_text("#percent_b", "100.0%").await;
    watcher.script("window.neverReloaded = true").await;
    assert_usable(&watcher, "the result on a phone").await;

    voter.open(&app.vote.url("/")).await;
    assert_eq!(voter.text("h1").await, "Cats vs Dogs!");
    assert_usable(&voter, "the voting page").await;
    voter.screenshot("vote-before-1280").await;
    voter.click("button[value=a]").await;
    voter.wait_for_text("[role=status]", "Your vote: Cats.").await;
    assert_eq!(voter.attribute("button[value=a]", "aria-pressed").await.as_deref(), Some("true"));
    assert_usable(&voter, "the voting page after a vote").await;
    voter.screenshot("vote-after-1280").await;

    watcher.wait_for_text("#total", "2 votes").await;
    watcher.wait_for_text("#percent_a", "50.0%").await;
    assert_eq!(watcher.text("#votes_a").await, "1");
    let bar = "return Math.abs(bar_a.getBoundingClientRect().width * 2 - bar.getBoundingClientRect().width) < 2";
    watcher.wait_until(bar).await;
    // The same voter changes their mind, with the keyboard.
    voter.find("button[value=b]").await.send_keys("\u{e007}").await.unwrap();
    voter.wait_for_text("[role=status]", "Your vote: Dogs.").await;
    watcher.wait_for_text("#percent_b", "100.0%").await;
    watcher.wait_for_text("#total", "2 votes").await;
    app.vote("2f", "a");
    watcher.wait_for_text("#percent_a", "33.3%").await;
    watcher.screenshot("result-390").await;
    voter.open(&app.result.url("/")).await;
    voter.wait_for_text("#percent_a", "33.3%").await;
    assert_usable(&voter, "the result").await;
    voter.screenshot("result-1280").await;

    app.postgres.kill();
    watcher.wait_for_text("#problem", "The database is away").await;
    assert_eq!(watcher.text("#total").await, "3 votes");
    assert_usable(&watcher, "the result without a database").await;
    watcher.screenshot("result-away-390").await;
    app.postgres.restart();
    watcher.wait_until("return problem.textContent === ''").await;
    assert_eq!(watcher.script("return window.neverReloaded").await, true);

    // The page comes back by itself when its own server does.
    app.result.restart();
    app.vote("3f", "a");
    watcher.wait_for_text("#total", "4 votes").await;
    watcher.wait_until("return problem.textContent === ''").await;
    assert_eq!(watcher.script("return window.neverReloaded").await, true);
}

#[tokio::test]
async fn a_phone_votes_and_is_told_when_redis_is_away_and_votes_again() {
    let mut app = App::with_options(&[("OPTION_A", "A very long name of an option that needs lines")]);
    let phone = Browser::phone().await;
    phone.open(&app.vote.url("/")).await;
    assert_usable(&phone, "the voting page on a phone").await;
    app.redis.kill();
    phone.click("button[value=b]").await;
    phone.wait_for_text("[role=alert]", "Dogs was").await;
    phone.wait_for_text("button[value=b]", "Try again").await;
    let errors = phone.console_errors().await;
    assert!(errors.iter().all(|error| error.contains("503")), "{errors:?}");
    assert_usable(&phone, "the voting page without Redis").await;
    phone.screenshot("vote-away-390").await;
    app.redis.restart();
    eventually(10, "Redis is back", || {
        let ready = app.vote.get("/readyz");
        (ready.status == 200).then_some(()).ok_or_else(|| ready.text().to_owned())
    });
    phone.click("button[value=b]").await;
    phone.wait_for_text("[role=status]", "Your vote: Dogs.").await;
    phone.screenshot("vote-after-390").await;
    app.await_stored();
    let rows = app.rows();
    assert!(rows.len() == 1 && rows[0].1 == "b", "{rows:?}");
}
