//! The registry of providers. A new one is a file here, a `mod` line and an entry in the slice.

mod file;
mod r#static;

use crate::Spec;

pub(crate) const PROVIDERS: &[&Spec] = &[&file::SPEC, &r#static::SPEC];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_registered() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
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
