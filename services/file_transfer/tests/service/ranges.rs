//! Parts of files and conditions, as curl and browsers ask for them.

use super::*;

fn head<'a>(answer: &'a Answer, names: &[&str]) -> Vec<Option<&'a str>> {
    names.iter().map(|name| answer.header(name)).collect()
}

#[test]
fn a_file_tells_what_it_is() {
    let volume = Volume::new();
    let service = volume.serve();
    store(&service, "é.html", b"<script>alert(1)</script>");
    for method in ["GET", "HEAD"] {
        let answer = send(method, &service.address, "/files/%C3%A9.html", &[], b"").unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(
            head(
                &answer,
                &[
                    "Content-Type",
                    "Content-Length",
                    "Accept-Ranges",
                    "X-Content-Type-Options",
                    "Content-Security-Policy",
                    "Content-Disposition"
                ]
            ),
            [
                Some("text/html"),
                Some("25"),
                Some("bytes"),
                Some("nosniff"),
                Some("sandbox; default-src 'none'"),
                Some("attachment; filename=\"_.html\"; filename*=UTF-8''%C3%A9.html")
            ]
        );
        assert_eq!(answer.body.len(), if method == "GET" { 25 } else { 0 });
    }
    for (name, kind) in [("a.png", "image/png"), ("a.txt", "text/plain"), ("a", "application/octet-stream")] {
        store(&service, name, b"x");
        assert_eq!(service.get(&format!("/files/{name}")).header("Content-Type"), Some(kind), "{name}");
    }
}

#[test]
fn curl_gets_the_range_it_asks_for() {
    let volume = Volume::new();
    let service = volume.serve();
    let sent = content(1, 1_000_000);
    store(&service, "a", &sent);
    let url = service.url("/files/a");
    let here = volume.scratch.path();
    let check = |range: &str, part: &[u8]| {
        let output = curl(here, &["-r", range, "-D", "head", &url]);
        let head = std::fs::read_to_string(here.join("head")).unwrap();
        assert!(head.starts_with("HTTP/1.1 206 "), "{range}: {head}");
        assert!(output.stdout == part, "{range}: {} bytes came", output.stdout.len());
        head.to_lowercase()
    };
    assert!(check("0-0", &sent[..1]).contains("content-range: bytes 0-0/1000000\r\n"));
    check("999-1500", &sent[999..=1500]);
    check("262143-262144", &sent[262_143..=262_144]);
    check("500000-", &sent[500_000..]);
    assert!(check("-10", &sent[999_990..]).contains("content-range: bytes 999990-999999/1000000\r\n"));
    check("999999-2000000", &sent[999_999..]);

    let beyond = send("GET", &service.address, "/files/a", &[("Range", "bytes=1000000-")], b"").unwrap();
    assert_eq!((beyond.status, beyond.header("Content-Range")), (416, Some("bytes */1000000")));
    let several = send("GET", &service.address, "/files/a", &[("Range", "bytes=0-1,5-6")], b"").unwrap();
    assert_eq!((several.status, several.body.len()), (200, 1_000_000));

    // What broke off goes on where it was.
    std::fs::write(here.join("partly"), &sent[..123_456]).unwrap();
    let resumed = curl(here, &["-C", "-", "-o", "partly", &url]);
    assert!(resumed.status.success(), "{resumed:?}");
    assert!(std::fs::read(here.join("partly")).unwrap() == sent);
}

#[test]
fn who_has_a_file_does_not_get_it_again() {
    let volume = Volume::new();
    let service = volume.serve();
    let other = volume.serve();
    store(&service, "a", b"version 1");
    let first = service.get("/files/a");
    let (tag, date) = (first.header("ETag").unwrap(), first.header("Last-Modified").unwrap());
    let get = |service: &Service, headers: &[(&str, &str)]| {
        let answer = send("GET", &service.address, "/files/a", headers, b"").unwrap();
        (answer.status, answer.text().to_owned())
    };
    let nothing = (304, String::new());
    assert_eq!(get(&service, &[("If-None-Match", tag)]), nothing);
    assert_eq!(get(&other, &[("If-None-Match", tag)]), nothing, "every replica knows the tag");
    assert_eq!(get(&service, &[("If-Modified-Since", date)]), nothing);
    let here = volume.scratch.path();
    let etag = ["--etag-save", "tag", "--etag-compare", "tag", "-o", "got", &service.url("/files/a")];
    assert_eq!(ask(here, &etag).0, 200);
    assert_eq!(ask(here, &etag).0, 304, "curl sends the tag back");

    // The same length within the same second is another version.
    store(&service, "a", b"version 2");
    assert_eq!(get(&other, &[("If-None-Match", tag)]), (200, "version 2".to_owned()));
    assert_eq!(get(&service, &[("If-Match", tag)]), (412, "the file has changed\n".to_owned()));
    let range = ("Range", "bytes=8-");
    assert_eq!(get(&service, &[range, ("If-Range", tag)]), (200, "version 2".to_owned()));
    let now = service.get("/files/a");
    assert_eq!(get(&service, &[range, ("If-Range", now.header("ETag").unwrap())]), (206, "2".to_owned()));
}

#[test]
fn a_date_that_http_cannot_tell_is_brought_into_range() {
    let volume = Volume::new();
    let service = volume.serve();
    store(&service, "a", b"");
    for (seconds, want) in [(-86_400, "Thu, 01 Jan 1970 00:00:00 GMT"), (15_000_000_000, "")] {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let file = std::fs::File::open(volume.files().join("a")).unwrap();
        rustix::fs::futimens(file, &times).unwrap();
        let answer = service.get("/files/a");
        assert_eq!(answer.status, 200);
        assert!(answer.header("Last-Modified").unwrap().starts_with(want), "{answer:?}");
        assert_eq!(listed(&service), ["a"]);
    }
}
