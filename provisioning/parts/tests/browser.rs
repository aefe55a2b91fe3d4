//! The browser clicks, types, chooses files, shows texts and tells errors.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use provisioning_parts::{Browser, PHONE};

const PAGE: &str = "data:text/html,<meta name=viewport content='width=device-width'><title>t</title>\
    <input id=name><input type=file hidden id=file onchange='out.textContent=this.files[0].name'>\
    <button data-x=y onclick=\"setTimeout(() => { out.textContent = 'hello ' + document.all.name.value }, 100)\">go</button>\
    <p id=out></p>";

#[tokio::test]
async fn it_does_what_a_visitor_does() {
    let browser = Browser::start().await;
    browser.open(PAGE).await;
    browser.type_into("#name", "world").await;
    browser.click("button").await;
    browser.wait_for_text("#out", "hello world").await;
    assert_eq!(browser.text("#out").await, "hello world");
    assert_eq!(browser.attribute("button", "data-x").await.as_deref(), Some("y"));

    let file = tempfile::Builder::new().prefix("chosen").tempfile().unwrap();
    browser.choose_file("#file", file.path()).await;
    let name = browser.wait_until("return document.all.out.textContent.startsWith('chosen') && out.textContent").await;
    assert_eq!(name.as_str(), file.path().file_name().unwrap().to_str());
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.script("setTimeout(() => { throw new Error('planted') })").await;
    browser.wait_until("return new Promise(done => setTimeout(() => done(true), 50))").await;
    let errors = browser.console_errors().await;
    assert!(errors.len() == 1 && errors[0].contains("planted"), "{errors:?}");

    let width = browser.script("return innerWidth").await;
    assert_eq!(width, 1280);
    let png = std::fs::read(browser.screenshot("parts-browser").await).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn a_phone_is_as_wide_as_a_phone() {
    let browser = Browser::phone().await;
    browser.open(PAGE).await;
    assert_eq!(browser.script("return [innerWidth, innerHeight]").await, serde_json::json!([PHONE.0, PHONE.1]));
}

#[tokio::test]
async fn nothing_of_it_is_left() {
    let browser = Browser::start().await;
    browser.open(PAGE).await;
    let profile = browser.profile().to_str().unwrap().to_owned();
    assert!(processes_naming(&profile) > 2);
    drop(browser);
    assert_eq!(processes_naming(&profile), 0);
    assert!(!std::path::Path::new(&profile).exists());
}

fn processes_naming(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(word)).count()
}
