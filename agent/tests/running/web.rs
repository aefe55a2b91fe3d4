//! Certificates, and a real client that shows them.

use std::path::{Path, PathBuf};
use std::process::Command;

use provisioning_parts::program;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The users' passwords, as htpasswd hashes them: with the least cost that there is, to spend no test's time.
pub const USERS: &str = "basic_auth_users: {alice: $2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i}\n";
/// The one of the only user.
pub const PASSWORD: &str = "abc";

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its own certificate to `NAME.crt`.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(name).with_extension("crt"), self.0.pem()).unwrap();
    }

    /// Writes a certificate for these DNS names and its key to `NAME.crt` and `NAME.key`.
    pub fn sign(&self, folder: &Path, name: &str, names: &[&str]) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(name).with_extension("crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join(name).with_extension("key"), key.serialize_pem()).unwrap();
    }
}

/// A folder with a server's certificate, two clients' (one of an authority that nobody knows), and authorities.
pub fn folder_with_certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    known.write(folder.path(), "ca");
    known.sign(folder.path(), "server", &["localhost"]);
    known.sign(folder.path(), "client", &["scraper.example"]);
    unknown.sign(folder.path(), "stranger", &["scraper.example"]);
    folder
}

/// The section of a web configuration for TLS with that folder's certificates.
pub fn tls(further: &str) -> String {
    format!("tls_server_config: {{cert_file: server.crt, key_file: server.key{further}}}\n")
}

/// Replaces a file at once, as whoever deploys one does.
pub fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// curl with a folder of certificates.
pub struct Curl(pub PathBuf);

impl Curl {
    /// The status that it gets; none where there is no answer, with what curl says.
    pub fn status(&self, url: &str, args: &[&str]) -> Result<u16, String> {
        let fixed = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", "--cacert", "ca.crt"];
        let mut command = Command::new(program("curl"));
        let output = command.args(fixed).args(args).arg(url).current_dir(&self.0).output().unwrap();
        match String::from_utf8(output.stdout).unwrap().parse() {
            Ok(0) | Err(_) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Ok(status) => Ok(status),
        }
    }

    /// Headers and body of the answer.
    pub fn answer(&self, url: &str, args: &[&str]) -> String {
        let mut command = Command::new(program("curl"));
        let fixed = ["-sS", "-i", "--max-time", "20", "--cacert", "ca.crt"];
        let output = command.args(fixed).args(args).arg(url).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
