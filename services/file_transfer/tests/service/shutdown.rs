//! The end of a replica.

use super::*;

#[test]
fn a_download_ends_before_the_process_does() {
    let volume = Volume::new();
    let mut service = volume.serve();
    let sent = content(1, 32 << 20);
    std::fs::write(volume.files().join("a"), &sent).unwrap();
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /files/a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = vec![0; 1 << 20];
    stream.read_exact(&mut answer).unwrap();
    service.process().signal(rustix::process::Signal::TERM);
    service.process().await_log("the signal", |log| log.contains("shutting down").then_some(()));
    // Nobody new is let in.
    provisioning_parts::eventually(10, "the door is shut", || match TcpStream::connect(&service.address) {
        Ok(_) => Err("still open".to_owned()),
        Err(_) => Ok(()),
    });
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&sent), "{} bytes came", answer.len());
    assert_eq!(service.process().await_exit().code(), Some(0));
}

#[test]
fn an_upload_ends_before_the_process_does() {
    let volume = Volume::new();
    let mut service = volume.serve();
    let sent = content(1, 1 << 20);
    let mut begun = Begun::half(&service, "a", &sent);
    provisioning_parts::eventually(10, "the upload is under way", || match volume.unfinished() {
        1 => Ok(()),
        count => Err(format!("{count} are")),
    });
    service.process().signal(rustix::process::Signal::TERM);
    service.process().await_log("the signal", |log| log.contains("shutting down").then_some(()));
    begun.send_rest();
    assert_eq!(begun.answer(), (200, String::new()));
    assert_eq!(service.process().await_exit().code(), Some(0));
    assert!(std::fs::read(volume.files().join("a")).unwrap() == sent);
}

#[test]
fn an_upload_that_does_not_end_in_the_grace_leaves_no_file() {
    let volume = Volume::new();
    let mut service = volume.serve_with(&[("GRACE_SECONDS", "0")]);
    let _begun = Begun::half(&service, "a", &content(1, 1 << 20));
    provisioning_parts::eventually(10, "the upload is under way", || match volume.unfinished() {
        1 => Ok(()),
        count => Err(format!("{count} are")),
    });
    assert_eq!(service.terminate().code(), Some(0));
    let next = volume.serve();
    assert_eq!(listed(&next), Vec::<String>::new());
    provisioning_parts::eventually(10, "nothing is left", || match volume.unfinished() {
        0 => Ok(()),
        count => Err(format!("{count} are left")),
    });
}
