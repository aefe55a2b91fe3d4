//! Tricks with names, by every way in: 400 with a reason, and nothing outside the folder is read or written.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;

/// Bytes as they stand in a path: every one encoded.
fn encoded(name: &[u8]) -> String {
    name.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends the name as it is: as a form's file name, as a form's field in both encodings, as a path.
#[track_caller]
fn check(service: &Service, name: impl AsRef<[u8]>, reason: &str) {
    let name = name.as_ref();
    let shown = String::from_utf8_lossy(name);
    let urlencoded = [("Content-Type", "application/x-www-form-urlencoded")];
    let field = [
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n").as_bytes(),
        name,
        format!("\r\n--{BOUNDARY}--\r\n").as_bytes(),
    ]
    .concat();
    let form = format!("name={}", encoded(name));
    let path = format!("/files/{}", encoded(name));
    let answers = [
        ("upload", upload(service, name, b"evil")),
        ("form", send("POST", &service.address, "/download", &[MULTIPART], &field).unwrap()),
        ("urlencoded form", send("POST", &service.address, "/download", &urlencoded, form.as_bytes()).unwrap()),
        ("path", send("GET", &service.address, &path, &[], b"").unwrap()),
        ("deletion", send("DELETE", &service.address, &path, &[], b"").unwrap()),
    ];
    for (way, answer) in answers {
        assert_eq!(answer.status, 400, "{shown} by {way}: {answer:?}");
        assert!(answer.text().contains(reason), "{shown} by {way}: {}", answer.text());
    }
}

#[test]
fn a_name_cannot_leave_the_folder() {
    let volume = Volume::new();
    let service = volume.serve();
    let outside = volume.write("outside", b"secret");
    let absolute = outside.to_str().unwrap().to_owned();
    check(&service, "../outside", "slash");
    check(&service, "../../../../etc/passwd", "slash");
    check(&service, "x/../../outside", "slash");
    check(&service, &absolute, "slash");
    check(&service, "/dev/zero", "slash");
    check(&service, "..\\outside", "backslash");
    check(&service, "C:\\Windows\\win.ini", "backslash");
    check(&service, "..%2Foutside", "percent-encoding");
    check(&service, "%2e%2e%2foutside", "percent-encoding");
    check(&service, "%252e%252e%252foutside", "percent-encoding");
    check(&service, "..", "folder");
    check(&service, ".", "folder");
    check(&service, ".uploads", "dot");
    check(&service, ".uploads/x", "slash");
    check(&service, "photo.jpg\0.txt", "control character");
    check(&service, "\0", "control character");
    check(&service, "CON", "device");
    check(&service, "nul.txt", "device");
    check(&service, "COM1", "device");
    check(&service, "x".repeat(300), "300 bytes long");
    check(&service, b"caf\xe9.txt", "UTF-8");
    check(&service, b"\xc0\xae\xc0\xae\xc0\xafoutside", "UTF-8");
    check(&service, "a.", "dot");
    check(&service, "a\u{202e}gpj.exe", "invisible");
    assert_eq!(std::fs::read(outside).unwrap(), b"secret");
    let mut left: Vec<_> = std::fs::read_dir(volume.files()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".uploads"]);
}

#[test]
fn curl_cannot_leave_the_folder_either() {
    let volume = Volume::new();
    let service = volume.serve();
    volume.write("outside", b"secret");
    let here = volume.scratch.path();
    for path in
        ["/files/../outside", "/files/..%2foutside", "/files/%2e%2e/outside", "/files//etc/passwd", "/files/a/b"]
    {
        let (status, body) = ask(here, &["--path-as-is", &service.url(path)]);
        assert_eq!((status, body.contains("slash")), (400, true), "{path}: {body}");
    }
    let (status, body) = ask(here, &["-F", "file=@outside;filename=../inside", &service.url("/upload")]);
    assert_eq!((status, body.contains("slash")), (400, true), "{body}");
    assert!(!here.join("inside").exists());
    // Nothing is there at all, and curl itself makes `/outside` of it.
    assert_eq!(ask(here, &[&service.url("/files/../outside")]).0, 404);
}

#[test]
fn what_is_planted_in_the_folder_is_not_followed() {
    let volume = Volume::new();
    let service = volume.serve();
    let outside = volume.write("outside", b"secret");
    let files = volume.files();
    symlink(&outside, files.join("link")).unwrap();
    symlink("/dev/zero", files.join("endless")).unwrap();
    symlink("nowhere", files.join("dangling")).unwrap();
    std::fs::create_dir(files.join("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, files.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(files.join("socket")).unwrap();
    std::fs::write(files.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), b"").unwrap();
    let kinds = [
        ("link", "is a symbolic link, not a file"),
        ("endless", "is a symbolic link, not a file"),
        ("dangling", "is a symbolic link, not a file"),
        ("folder", "is a folder, not a file"),
        ("fifo", "not a file"),
        ("socket", "not a file"),
    ];
    for (name, reason) in kinds {
        let path = format!("/files/{name}");
        for method in ["GET", "DELETE"] {
            let answer = send(method, &service.address, &path, &[], b"").unwrap();
            assert_eq!((answer.status, answer.text().contains(reason)), (400, true), "{method} {name}: {answer:?}");
        }
        assert!(files.join(name).symlink_metadata().is_ok(), "{name} is still there");
    }
    assert_eq!(listed(&service), Vec::<String>::new());

    // An upload takes the place of the link, not of what it leads to; a folder stays.
    store(&service, "link", b"new");
    assert_eq!(std::fs::read(&outside).unwrap(), b"secret");
    assert_eq!(listed(&service), ["link"]);
    let answer = upload(&service, b"folder", b"new");
    assert_eq!((answer.status, answer.text()), (400, "folder is a folder, not a file\n"));
    assert_eq!(volume.unfinished(), 0);
}

#[test]
fn the_hidden_folder_cannot_be_planted_as_a_link() {
    let volume = Volume::new();
    let elsewhere = volume.scratch.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::create_dir(volume.files()).unwrap();
    symlink(&elsewhere, volume.files().join(".uploads")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_file-transfer"))
        .env("FILES_DIR", volume.files())
        .env("BIND_PORT", "0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn unusual_names_come_back_as_they_went() {
    let volume = Volume::new();
    let service = volume.serve();
    let here = volume.scratch.path();
    let longest = "é".repeat(127);
    let names =
        ["relatório (2).pdf", "名前 🗼.txt", "a;b=c,d&e'f.txt", "say \"hi\".txt", "100%.txt", "-rf", longest.as_str()];
    for (number, name) in names.iter().enumerate() {
        let sent = content(number as u64, 2000);
        volume.write("source", &sent);
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let (status, body) =
            ask(here, &["-F", &format!("file=@source;filename=\"{quoted}\""), &service.url("/upload")]);
        assert_eq!((status, body.as_str()), (200, ""), "{name}");
        let returned = curl(here, &["--form-string", &format!("name={name}"), &service.url("/download")]).stdout;
        assert!(returned == sent, "{name}: {}", String::from_utf8_lossy(&returned));
        let answer = service.get(&format!("/files/{}", encoded(name.as_bytes())));
        assert!(answer.body == sent, "{name} by path: {answer:?}");
        let all = "filename*=UTF-8''";
        assert!(answer.header("Content-Disposition").unwrap().contains(all), "{answer:?}");
    }
    let mut want = names.map(str::to_owned).to_vec();
    want.sort();
    assert_eq!(listed(&service), want);
}
