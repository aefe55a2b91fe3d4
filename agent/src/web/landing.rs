//! The page at `/`: what this is and where to go.

use std::fmt::Write;

use super::{MetricsPage, Role};
use crate::settings::Settings;

/// Says it all in one go; nothing on it changes while the agent runs.
pub(super) fn page(metrics: &MetricsPage, path: &str, settings: &Settings) -> String {
    let (title, what) = match metrics.role() {
        Role::Node if !settings.container_listen.is_empty() => ("Atalaia agent", "Metrics of this machine"),
        Role::Node => ("Atalaia agent", "Metrics of this machine and its containers"),
        Role::Containers => ("Atalaia agent: containers", "Metrics of this machine's containers"),
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#223}}\
         code{{background:#eef;padding:0 .3em;border-radius:3px}}</style></head>\n<body>\n\
         <h1>{title}</h1>\n<p>Version {}</p>\n<ul>\n",
        escape(&crate::version()),
    );
    let mut link = |href: &str, text: &str| {
        let _ = writeln!(html, "<li><a href=\"{0}\">{1}</a></li>", escape(href), escape(text));
    };
    link(path, what);
    if super::serves_api(metrics.role(), settings) {
        link("/containers/", "All cgroups, live");
        link("/docker/", "Containers, live");
        link("/api/", "cAdvisor's API");
        link("/validate/", "What this machine lets the agent see");
    }
    link("/healthz", "Health");
    html.push_str("</ul>\n");
    match metrics.role() {
        Role::Node if !settings.container_listen.is_empty() => {
            let addresses = settings.container_listen.join(", ");
            let _ =
                writeln!(html, "<p>Containers have a page of their own on <code>{}</code>.</p>", escape(&addresses));
        }
        _ => {}
    }
    html.push_str("<p>One container as JSON: <code>/info/ID</code>, by id or name.</p>\n<p>Collectors:");
    for name in metrics.collectors() {
        let _ = write!(html, " <a href=\"{0}?collect[]={1}\">{1}</a>", escape(path), escape(name));
    }
    html.push_str("</p>\n</body>\n</html>\n");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
