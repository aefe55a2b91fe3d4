//! The registry of providers. A new one is a file here, a `mod` line and an entry in the slice. What grows out of its
//! file goes into a folder of the same name.

mod dns;
mod docker;
mod dockerswarm;
mod file;
mod r#static;

use crate::Spec;

pub(crate) const PROVIDERS: &[&Spec] = &[&dns::SPEC, &docker::SPEC, &dockerswarm::SPEC, &file::SPEC, &r#static::SPEC];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".rs").map(str::to_owned)
            })
            .filter(|name| name != "mod")
            .collect();
        files.sort();
        let registered: Vec<&str> = PROVIDERS.iter().map(|spec| spec.name).collect();
        assert_eq!(registered, files, "files under providers/, in order");
    }

    #[test]
    fn keys_are_named_after_their_provider() {
        for spec in PROVIDERS {
            let want =
                if spec.name == "static" { "static_configs".to_owned() } else { format!("{}_sd_configs", spec.name) };
            assert_eq!(spec.key, want);
        }
    }
}
