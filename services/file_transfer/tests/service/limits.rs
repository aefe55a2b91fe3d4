//! What is too large, too much, or too slow.

use provisioning_parts::eventually;

use super::*;

#[track_caller]
fn nothing_is_left(volume: &Volume) {
    eventually(10, "nothing is left", || match volume.unfinished() {
        0 => Ok(()),
        count => Err(format!("{count} are left")),
    });
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let volume = Volume::new();
    let service = volume.serve_with(&[("MAX_FILE_BYTES", "1000000")]);
    let too_large = "the file is larger than 1000000 bytes, which is the most (MAX_FILE_BYTES)\n";
    store(&service, "most", &content(1, 1_000_000));
    // Told by the length, though curl waits for word before it sends more than a mebibyte.
    let here = volume.scratch.path();
    volume.write("large", &content(2, 30_000_000));
    assert_eq!(ask(here, &["-F", "file=@large", &service.url("/upload")]), (413, too_large.to_owned()));
    // By count, where the length is not told: one byte, and many.
    volume.write("more", &content(2, 1_000_001));
    for name in ["more", "large"] {
        let file = format!("file=@{name}");
        let chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-F", &file, &service.url("/upload")];
        assert_eq!(ask(here, &chunked), (413, too_large.to_owned()), "{name}");
    }
    // A peer that sends everything before it reads still reads the answer.
    let answer = upload(&service, b"large", &content(2, 30_000_000));
    assert_eq!((answer.status, answer.text()), (413, too_large));
    assert_eq!(service.metric("file_transfer_refused_uploads_total{reason=\"too_large\""), Some(4.0));
    assert_eq!(listed(&service), ["most"]);
    nothing_is_left(&volume);
}

#[test]
fn a_large_body_is_refused_before_it_comes() {
    let volume = Volume::new();
    let service = volume.serve_with(&[("MAX_FILE_BYTES", "1000")]);
    let begun = Begun::half(&service, "large", &content(1, 200_000));
    assert_eq!(begun.answer().0, 413);
    assert_eq!(service.metric("file_transfer_received_bytes_total"), Some(0.0));
}

#[test]
fn the_reserve_of_the_volume_is_kept() {
    let volume = Volume::new();
    let service = volume.serve_with(&[("MIN_FREE_BYTES", "1000000000000000")]);
    let full = "the volume has no room for the file: 1000000000000000 bytes of it have to stay free (MIN_FREE_BYTES)\n";
    let answer = upload(&service, b"a", b"content");
    assert_eq!((answer.status, answer.text()), (507, full));
    let here = volume.scratch.path();
    volume.write("large", &content(2, 3_000_000));
    assert_eq!(ask(here, &["-F", "file=@large", &service.url("/upload")]), (507, full.to_owned()));
    assert_eq!(service.metric("file_transfer_refused_uploads_total{reason=\"no_room\""), Some(2.0));
    assert_eq!(service.get("/readyz").status, 200, "what is there can still be had");
    nothing_is_left(&volume);
}

/// A small file system of its own. Mounting needs root, as the tests with containers do.
struct Tiny(PathBuf);

impl Tiny {
    #[track_caller]
    fn mount(folder: PathBuf, bytes: u64) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new(program("mount")).args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        assert!(mounted.unwrap().success(), "a tmpfs cannot be mounted: run the tests as root");
        Self(folder)
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new(program("umount")).arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_volume_that_fills_up_refuses_and_goes_on_serving() {
    let volume = Volume::new();
    let _tiny = Tiny::mount(volume.files(), 4 << 20);
    let service = volume.serve();
    let first = content(1, 3 << 20);
    store(&service, "first", &first);
    // The length says that it will not fit.
    assert_eq!(upload(&service, b"second", &content(2, 2 << 20)).status, 507);
    // Nothing says so before the volume does.
    let here = volume.scratch.path();
    volume.write("third", &content(3, 2 << 20));
    let url = service.url("/upload");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-F", "file=@third", &url];
    assert_eq!(ask(here, &chunked).0, 507);
    nothing_is_left(&volume);
    assert!(service.get("/files/first").body == first);
    assert_eq!(service.get("/readyz").status, 200);
    assert_eq!(send("DELETE", &service.address, "/files/first", &[], b"").unwrap().status, 204);
    assert_eq!(ask(here, &chunked).0, 200);
    assert_eq!(listed(&service), ["third"]);
}

#[test]
fn a_body_that_stops_is_given_up() {
    let volume = Volume::new();
    let service = volume.serve_with(&[("IDLE_TIMEOUT_SECONDS", "1")]);
    let begun = Begun::half(&service, "slow", &content(1, 300_000));
    assert_eq!(begun.answer(), (408, "the request's body stopped for 1 s\n".to_owned()));
    assert_eq!(service.metric("file_transfer_refused_uploads_total{reason=\"stalled\""), Some(1.0));
    nothing_is_left(&volume);
    assert_eq!(listed(&service), Vec::<String>::new());
}

#[test]
fn a_form_of_small_pieces_that_never_ends_is_given_up() {
    let volume = Volume::new();
    let service = volume.serve();
    let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{}\r\n", "y".repeat(100));
    let answer = send("POST", &service.address, "/upload", &[MULTIPART], part.repeat(5000).as_bytes()).unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("the form holds more than 65536 bytes beside the file"), "{}", answer.text());
}
