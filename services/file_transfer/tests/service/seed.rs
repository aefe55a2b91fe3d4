//! What people type.

use provisioning_parts::send;

use super::*;

#[test]
fn the_commands_of_the_documentation_store_and_give_back() {
    let volume = Volume::new();
    let service = volume.serve();
    let (here, sent) = (volume.scratch.path(), content(1, 3_000_000));
    volume.write("photo.jpg", &sent);
    let upload = format!("{}/upload", service.address);
    let stored = curl(here, &["-i", "-X", "POST", "-F", "file=@photo.jpg", &upload]);
    let answer = String::from_utf8(stored.stdout).unwrap();
    assert!(answer.contains("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let download = format!("{}/download", service.address);
    let returned = curl(here, &["-X", "POST", "-F", "name=photo.jpg", &download]);
    assert!(returned.stdout == sent, "{} bytes came back", returned.stdout.len());
    let returned = curl(here, &["-X", "POST", "-d", "name=photo.jpg", &download]);
    assert!(returned.stdout == sent, "urlencoded: {} bytes came back", returned.stdout.len());
}

#[test]
fn every_kind_of_content_comes_back_as_it_went() {
    let volume = Volume::new();
    let service = volume.serve();
    let boundary = format!("\r\n--{BOUNDARY}");
    let nearly = format!("a\r\n--{}\r\n\r\n--\r\n\r", &BOUNDARY[1..]);
    let contents: [&[u8]; 6] =
        [b"", b"\n", b"\r\n\r\n", &content(2, 131_072), nearly.as_bytes(), &boundary.as_bytes()[..boundary.len() - 1]];
    for content in contents {
        store(&service, "file name", content);
        let answer = service.get("/files/file%20name");
        assert!(answer.body == content, "of {} bytes, {} came back", content.len(), answer.body.len());
    }
    assert_eq!(volume.unfinished(), 0);
}

#[test]
fn a_later_upload_takes_the_place_of_an_earlier() {
    let volume = Volume::new();
    let service = volume.serve();
    store(&service, "a.txt", b"a long first version");
    store(&service, "a.txt", b"short");
    assert_eq!(service.get("/files/a.txt").text(), "short");
    assert_eq!(listed(&service), ["a.txt"]);
}

#[test]
fn files_are_listed_and_deleted() {
    let volume = Volume::new();
    let service = volume.serve();
    store(&service, "b & <c>.txt", b"12345");
    store(&service, "a", b"");
    let answer = send("GET", &service.address, "/files", &[("Accept", "application/json")], b"").unwrap();
    assert_eq!((answer.header("Content-Type"), answer.header("Vary")), (Some("application/json"), Some("Accept")));
    let files = answer.json();
    assert_eq!((&files[0]["name"], &files[0]["size"]), (&"a".into(), &0.into()));
    assert_eq!((&files[1]["name"], &files[1]["size"]), (&"b & <c>.txt".into(), &5.into()));
    assert!(files[1]["modified"].as_str().unwrap().ends_with('Z'), "{files}");
    let page = service.get("/files");
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains(">b &amp; &lt;c&gt;.txt</a>"), "{}", page.text());

    let here = volume.scratch.path();
    let url = service.url("/files/b%20%26%20%3Cc%3E.txt");
    assert_eq!(ask(here, &["-X", "DELETE", &url]), (204, String::new()));
    assert_eq!(ask(here, &["-X", "DELETE", &url]), (404, "there is no file b & <c>.txt\n".to_owned()));
    assert_eq!(ask(here, &[&url]).0, 404);
    assert_eq!(listed(&service), ["a"]);
}

#[test]
fn it_tells_of_itself() {
    let volume = Volume::new();
    let service = volume.serve_with(&[("SWEEP_INTERVAL_SECONDS", "1")]);
    store(&service, "a", &content(3, 1000));
    service.get("/files/a");
    service.get("/files/a");
    assert_eq!(upload(&service, b"../a", b"").status, 400);
    assert_eq!(service.metric("file_transfer_received_bytes_total"), Some(1000.0));
    assert_eq!(service.metric("file_transfer_sent_bytes_total"), Some(2000.0));
    assert_eq!(service.metric("file_transfer_stored_files_total"), Some(1.0));
    assert_eq!(service.metric("file_transfer_refused_uploads_total{reason=\"name\""), Some(1.0));
    // A reason that has not come yet is there, at 0.
    assert_eq!(service.metric("file_transfer_refused_uploads_total{reason=\"stalled\""), Some(0.0));
    provisioning_parts::eventually(10, "the files are counted", || {
        let counted = (service.metric("file_transfer_files"), service.metric("file_transfer_files_bytes"));
        if counted == (Some(1.0), Some(1000.0)) { Ok(()) } else { Err(format!("{counted:?}")) }
    });
    let health = Command::new(env!("CARGO_BIN_EXE_file-transfer"))
        .arg("health")
        .env("BIND_PORT", service.address.rsplit(':').next().unwrap())
        .status()
        .unwrap();
    assert!(health.success());
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let volume = Volume::new();
    volume.write("file", b"");
    let folder = volume.scratch.path().join("file/files");
    let output = Command::new(env!("CARGO_BIN_EXE_file-transfer"))
        .env("FILES_DIR", &folder)
        .env("BIND_PORT", "0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "file-transfer: cannot make what is missing in the folder {}, which FILES_DIR chooses: \
             Not a directory (os error 20)\n",
            folder.display()
        )
    );
}

#[test]
fn readiness_follows_the_folder() {
    let volume = Volume::new();
    let service = volume.serve();
    assert_eq!(service.get("/readyz").status, 200);
    std::fs::remove_dir_all(volume.files()).unwrap();
    let answer = service.get("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.text().starts_with("files: cannot open the folder of unfinished uploads: "), "{}", answer.text());
    assert_eq!(service.get("/healthz").status, 200);
}
