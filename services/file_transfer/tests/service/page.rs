//! The page, in a browser.

use provisioning_parts::{Browser, PHONE};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_with_progress_listed_and_deleted() {
    let volume = Volume::new();
    let service = volume.serve();
    let sent = content(1, 24 << 20);
    let source = volume.write("holiday <b>.mp4", &sent);
    let browser = Browser::start().await;
    browser.open(&service.url("/")).await;
    browser.wait_for_text("#summary", "None yet.").await;
    // What the progress has been told, as it is told.
    browser
        .script(
            "window.seen = [];
             new MutationObserver(() => document.querySelectorAll('.state').forEach((state) => seen.push(state.textContent)))
                 .observe(document.getElementById('uploads'), { childList: true, subtree: true });",
        )
        .await;
    browser.limit_upload(16 << 20).await;
    browser.choose_file("#file", &source).await;
    browser.wait_for_text("#uploads li.done .state", "stored").await;
    let seen = browser.script("return seen.join('; ')").await;
    assert!(seen.as_str().unwrap().contains(" % of 24.0 MiB"), "{seen}");
    browser.wait_for_text("#files tbody tr", "holiday <b>.mp4").await;
    assert_eq!(browser.text("#summary").await, "1 file, 24.0 MiB");
    assert!(std::fs::read(volume.files().join("holiday <b>.mp4")).unwrap() == sent);
    browser.screenshot("file-transfer").await;

    // What others do shows by itself.
    store(&service, "other.txt", b"from elsewhere");
    browser.wait_for_text("#files", "other.txt").await;

    let delete = "tr[data-name='holiday <b>.mp4'] button";
    browser.click(delete).await;
    browser.client().dismiss_alert().await.unwrap();
    assert_eq!(listed(&service).len(), 2, "who does not confirm loses nothing");
    browser.click(delete).await;
    browser.client().accept_alert().await.unwrap();
    browser.wait_until("return document.querySelectorAll('#files tbody tr').length === 1").await;
    assert_eq!(listed(&service), ["other.txt"]);
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_the_next_file_goes_on() {
    let volume = Volume::new();
    let service = volume.serve_with(&[("MAX_FILE_BYTES", "1000")]);
    let browser = Browser::start().await;
    browser.open(&service.url("/")).await;
    browser.choose_file("#file", &volume.write("large", &content(1, 200_000))).await;
    browser.choose_file("#file", &volume.write("small", b"content")).await;
    browser.wait_for_text("#uploads li.done", "stored").await;
    browser.wait_for_text("#uploads li.failed", "larger than 1000 bytes").await;
    assert_eq!(listed(&service), ["small"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_a_phone() {
    let volume = Volume::new();
    let service = volume.serve();
    store(&service, &"long name ".repeat(12).trim_end().replace(' ', "_"), b"content");
    store(&service, "short.txt", b"content");
    let browser = Browser::phone().await;
    browser.open(&service.url("/")).await;
    browser.wait_for_text("#files", "short.txt").await;
    let width = browser.script("return document.documentElement.scrollWidth").await;
    assert!(width.as_u64().unwrap() <= u64::from(PHONE.0), "the page is {width} wide");
    let heights = "return Math.min(...[...document.querySelectorAll('button')].map((b) => b.offsetHeight))";
    assert!(browser.script(heights).await.as_u64().unwrap() >= 44, "a finger finds every button");
    browser.screenshot("file-transfer-phone").await;
    browser.open(&service.url("/files")).await;
    let width = browser.script("return document.documentElement.scrollWidth").await;
    assert!(width.as_u64().unwrap() <= u64::from(PHONE.0), "the listing is {width} wide");
}
