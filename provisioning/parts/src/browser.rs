//! A headless Chromium, driven by WebDriver.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::machine::program;
use crate::process::{Process, Start};

/// A window as large as a phone's, in CSS pixels.
pub const PHONE: (u32, u32) = (390, 844);

/// How long the page may take to become what a test waits for.
const SOON: Duration = Duration::from_secs(20);

/// A browser with a profile of its own. It ends, with all its processes, when the test lets go of it.
///
/// A selector is CSS. Whoever looks for an element waits for it up to 20 s, so that a test needs no pause of its own;
/// for a text or another state to come, use [`Browser::wait_until`].
pub struct Browser {
    client: Client,
    // In this order: the browser ends before its folder goes.
    _driver: Process,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one with a window of 1280 by 900.
    pub async fn start() -> Self {
        Self::sized(1280, 900).await
    }

    /// Starts one with a window the size of a phone's ([`PHONE`]), which also calls itself one.
    pub async fn phone() -> Self {
        Self::sized(PHONE.0, PHONE.1).await
    }

    /// Starts one with a window of this width and height in CSS pixels. One of less than 500 gets a touch screen.
    pub async fn sized(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Start::new(program("chromedriver")).args(["--port=0"]).spawn();
        let port = driver.await_output("port of chromedriver", |text| {
            let rest = text.split("started successfully on port ").nth(1)?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
        });
        let mut options = json!({
            "binary": program("chromium"),
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-breakpad",
                "--disable-background-networking", "--no-first-run", "--hide-scrollbars",
                format!("--user-data-dir={}", profile.path().display()),
                format!("--window-size={width},{height}"),
            ],
        });
        if width < 500 {
            // Desktop windows have a least width; this is how a narrower page is had.
            let metrics = json!({ "width": width, "height": height, "pixelRatio": 1.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let Value::Object(wanted) = wanted else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|e| panic!("cannot start chromium: {e}\n{}{}", driver.output(), driver.log()));
        Self { client, _driver: driver, profile }
    }

    /// The WebDriver client itself, for what has no method here.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The folder of its profile, which also stands in the command lines of all its processes.
    pub fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|e| panic!("cannot open {url}: {e}"));
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// The first element that a selector matches.
    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(SOON).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(e) => panic!("{css}: {e} on\n{}", self.client.source().await.unwrap_or_default()),
        }
    }

    /// All elements that a selector matches now.
    pub async fn find_all(&self, css: &str) -> Vec<Element> {
        self.client.find_all(Locator::Css(css)).await.unwrap()
    }

    /// Clicks on an element.
    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap_or_else(|e| panic!("cannot click on {css}: {e}"));
    }

    /// Types into a field.
    pub async fn type_into(&self, css: &str, text: &str) {
        self.find(css).await.send_keys(text).await.unwrap_or_else(|e| panic!("cannot type into {css}: {e}"));
    }

    /// Chooses a file in an `input[type=file]`, which may be hidden.
    pub async fn choose_file(&self, css: &str, file: &Path) {
        let file = file.canonicalize().unwrap();
        self.type_into(css, file.to_str().unwrap()).await;
    }

    /// The visible text of an element.
    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// An attribute of an element.
    pub async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.find(css).await.attr(name).await.unwrap()
    }

    /// What a function body gives, run in the page: `script("return document.title")`.
    pub async fn script(&self, body: &str) -> Value {
        self.client.execute(body, Vec::new()).await.unwrap_or_else(|e| panic!("{body}: {e}"))
    }

    /// Waits up to 20 s until a function body that is run in the page gives something true, and gives that.
    pub async fn wait_until(&self, body: &str) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            // A page that is on its way out may refuse; the next one is asked again.
            let got = self.client.execute(body, Vec::new()).await;
            if let Ok(value) = &got
                && !matches!(value, Value::Null | Value::Bool(false))
                && value != ""
                && value != 0
            {
                return value.clone();
            }
            if Instant::now() >= deadline {
                let page = self.client.source().await.unwrap_or_default();
                panic!("not within {SOON:?}: {body}; got {got:?} on\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits up to 20 s until the visible text of an element holds this text.
    pub async fn wait_for_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.wait_until(&format!(
            "const e = document.querySelector({css}); return e !== null && e.innerText.includes({text})"
        ))
        .await;
    }

    /// Writes what the window shows to `NAME.png` in the folder that `ATALAIA_SCREENSHOTS` names, or else in the
    /// system's folder for temporary files; gives the path.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        let folder = std::env::var_os("ATALAIA_SCREENSHOTS").map_or_else(std::env::temp_dir, PathBuf::from);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, self.client.screenshot().await.unwrap()).unwrap();
        path
    }

    /// From now on the page sends no more than so many bytes a second, so that what happens meanwhile can be seen.
    pub async fn limit_upload(&self, bytes_per_second: u64) {
        let conditions = json!({
            "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second,
        });
        // Conditions count only while the browser reports on its network.
        for (command, params) in [("Network.enable", json!({})), ("Network.emulateNetworkConditions", conditions)] {
            let body = json!({ "cmd": command, "params": params });
            self.client.issue_cmd(Own { path: "goog/cdp/execute", body }).await.unwrap();
        }
    }

    /// What went to the page's console as errors since the last call: scripts that failed, what could not be loaded.
    pub async fn console_errors(&self) -> Vec<String> {
        let entries = self.client.issue_cmd(Own { path: "se/log", body: json!({ "type": "browser" }) }).await.unwrap();
        let entries = entries.as_array().cloned().unwrap_or_default();
        let errors = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct Own {
    /// Below that of the session.
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base_url: &url::Url, session_id: Option<&str>) -> Result<url::Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
