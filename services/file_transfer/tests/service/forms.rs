//! Forms that are not as they should be: 400, and the answer names the field.

use super::*;

#[track_caller]
fn check(service: &Service, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>, want: &str) {
    let answer = send("POST", &service.address, path, headers, body.as_ref()).unwrap();
    assert_eq!((answer.status, answer.text().trim_end()), (400, want));
}

#[test]
fn an_upload_needs_a_file_in_its_field() {
    let volume = Volume::new();
    let service = volume.serve();
    let here = volume.scratch.path();
    volume.write("a.txt", b"content");
    let url = service.url("/upload");
    let wrong = |args: &[&str]| {
        let args: Vec<&str> = ["-X", "POST"].iter().chain(args).copied().chain([url.as_str()]).collect();
        let (status, body) = ask(here, &args);
        assert_eq!(status, 400, "{body}");
        body.trim_end().to_owned()
    };
    let no_form =
        "the request is no form of type multipart/form-data with a boundary; a form with the field \"file\" is wanted";
    assert_eq!(wrong(&[]), no_form);
    assert_eq!(wrong(&["-d", "file=a.txt"]), no_form);
    assert_eq!(wrong(&["--data-binary", "@a.txt", "-H", "Content-Type: multipart/form-data"]), no_form);
    assert_eq!(
        wrong(&["-F", "upload=@a.txt"]),
        "the file is in the field \"upload\" of the form; it has to be in the field \"file\""
    );
    assert_eq!(wrong(&["-F", "name=a.txt"]), "the form has no field \"file\"; it has \"name\"");
    assert_eq!(wrong(&["-F", "file=a.txt"]), "the field \"file\" of the form has no file name: it has to be a file");
    assert_eq!(
        wrong(&["-F", "file=@a.txt", "-F", "file=@a.txt;filename=b.txt"]),
        "the form has the field \"file\" twice: one file a request"
    );
    assert_eq!(wrong(&["-F", "file=@a.txt;filename="]), "the file name is empty");
    assert_eq!(listed(&service), Vec::<String>::new());
    assert_eq!(volume.unfinished(), 0);
    // Other fields do not matter.
    assert_eq!(ask(here, &["-F", "note=x", "-F", "file=@a.txt", "-F", "more=y", &url]), (200, String::new()));
    assert_eq!(listed(&service), ["a.txt"]);
}

#[test]
fn a_form_that_breaks_off_stores_nothing() {
    let volume = Volume::new();
    let service = volume.serve();
    let cut = "the form ends before its last boundary; a form with the field \"file\" is wanted";
    let form = form_with("file", b"a.txt", &content(1, 300_000));
    for end in [0, 10, 100, 200_000, form.len() - 40, form.len() - 4] {
        check(&service, "/upload", &[MULTIPART], &form[..end], cut);
    }
    check(
        &service,
        "/upload",
        &[MULTIPART],
        [form.as_slice(), &[b'x'; 70_000]].concat(),
        "the form holds more than 65536 bytes beside the file; a form with the field \"file\" is wanted",
    );
    assert_eq!(listed(&service), Vec::<String>::new());
    assert_eq!(volume.unfinished(), 0);
    // A peer that is gone in the middle has nobody to tell.
    drop(Begun::half(&service, "a.txt", &content(1, 300_000)));
    // As the six above are, to whom it was told.
    provisioning_parts::eventually(10, "the cut upload is counted", || {
        match service.metric("file_transfer_refused_uploads_total{reason=\"cut_off\"") {
            Some(7.0) => Ok(()),
            count => Err(format!("{count:?}")),
        }
    });
    provisioning_parts::eventually(10, "nothing is left", || match volume.unfinished() {
        0 => Ok(()),
        count => Err(format!("{count} are left")),
    });
    assert_eq!(listed(&service), Vec::<String>::new());
}

#[test]
fn a_download_needs_a_name_in_its_field() {
    let volume = Volume::new();
    let service = volume.serve();
    let urlencoded = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    let missing = "the form has no field \"name\" that names a file";
    check(&service, "/download", &urlencoded, "", missing);
    check(&service, "/download", &urlencoded, "file=a.txt&names=b", missing);
    check(&service, "/download", &urlencoded, "name=", "the file name is empty");
    check(&service, "/download", &[MULTIPART], form_with("file", b"a.txt", b""), missing);
    check(
        &service,
        "/download",
        &[],
        "name=a.txt",
        "the request is no form of type multipart/form-data with a boundary; a form with the field \"name\" is wanted",
    );
    let long = [form_with("name", b"", b"").as_slice(), &[b' '; 70_000]].concat();
    assert_eq!(send("POST", &service.address, "/download", &[MULTIPART], &long).unwrap().status, 400);
    store(&service, "a+b é.txt", b"found");
    let answer = send("POST", &service.address, "/download", &urlencoded, b"x=y&name=a%2Bb+%C3%A9.txt").unwrap();
    assert_eq!((answer.status, answer.text()), (200, "found"));
    let answer = send("POST", &service.address, "/download", &urlencoded, b"name=b").unwrap();
    assert_eq!((answer.status, answer.text()), (404, "there is no file b\n"));
}
