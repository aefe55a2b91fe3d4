//! A service as its binary: here a small HTTP server stands in for one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;

use provisioning_parts::Service;

/// Logs as our services do, and answers every request alike.
const SERVER: &str = r#"#!/usr/bin/env python3
import http.server, os, sys
PAGE = b'# TYPE x_total counter\nx_total{code="200"} 2\nx_total{code="503"} 3\nx_totally 9\nplain 4\n'
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = PAGE if self.path == "/metrics" else (os.environ["WORD"] + os.environ.get("HOME", "")).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.HTTPServer((os.environ["BIND_ADDRESS"], int(os.environ["BIND_PORT"])), Handler)
print("2026-01-01T00:00:00Z  INFO listening address=127.0.0.1:%d" % server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
"#;

#[test]
fn it_starts_answers_counts_and_restarts_at_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    std::fs::write(&program, SERVER).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

    let mut service = Service::start(&program, [("WORD", "hello")]);
    assert_eq!(service.get("/").text(), "hello");
    assert_eq!(service.metric("x_total"), Some(5.0));
    assert_eq!(service.metric("x_total{code=\"503\""), Some(3.0));
    assert_eq!(service.metric("plain"), Some(4.0));
    assert_eq!(service.metric("absent"), None);

    let address = service.address.clone();
    service.kill();
    assert!(service.try_get("/").is_err());
    service.restart();
    assert_eq!(service.address, address);
    assert_eq!(service.get("/").text(), "hello");
}
