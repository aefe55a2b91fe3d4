//! The files that tell Grafana its data sources and where the boards are.
#![allow(dead_code, reason = "a field that no check looks at is still held to its type")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use provisioning_parts::root;
use serde::Deserialize;

use crate::schema::{Board, DataSourceRef};

/// The folder of all of them.
pub fn folder() -> PathBuf {
    root().join("dashboards")
}

/// Every board, in the order of the names of their files.
pub fn boards() -> Result<Vec<Board>, String> {
    let files = std::fs::read_dir(folder().join("boards")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        Board::read(stem, &std::fs::read_to_string(path).unwrap())
    };
    files.iter().map(read).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DataSources {
    pub api_version: u8,
    pub datasources: Vec<DataSource>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DataSource {
    pub name: String,
    pub uid: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub access: String,
    pub url: String,
    #[serde(default)]
    pub is_default: bool,
    pub json_data: JsonData,
    pub secure_json_data: Option<SecureJsonData>,
}

/// What the two kinds of data source have of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JsonData {
    pub time_interval: String,
    pub http_method: Option<String>,
    pub prometheus_type: Option<String>,
    pub prometheus_version: Option<String>,
    pub version: Option<String>,
    pub db_name: Option<String>,
    pub http_mode: Option<String>,
    #[serde(rename = "httpHeaderName1")]
    pub http_header_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecureJsonData {
    #[serde(rename = "httpHeaderValue1")]
    pub http_header_value: String,
}

impl DataSources {
    pub fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(folder().join("provisioning/datasources/atalaia.yml")).unwrap();
        serde_yaml_ng::from_str(&text).map_err(|e| e.to_string())
    }

    /// As panels and variables name them.
    pub fn references(&self) -> BTreeSet<DataSourceRef> {
        let reference = |source: &DataSource| DataSourceRef { kind: source.kind.clone(), uid: source.uid.clone() };
        self.datasources.iter().map(reference).collect()
    }

    pub fn get(&self, uid: &str) -> &DataSource {
        self.datasources.iter().find(|source| source.uid == uid).unwrap()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Providers {
    pub api_version: u8,
    pub providers: Vec<Provider>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    pub name: String,
    pub folder: String,
    pub folder_uid: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub allow_ui_updates: bool,
    pub update_interval_seconds: u32,
    pub options: ProviderOptions,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderOptions {
    pub path: String,
}

impl Providers {
    pub fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(folder().join("provisioning/dashboards/atalaia.yml")).unwrap();
        serde_yaml_ng::from_str(&text).map_err(|e| e.to_string())
    }
}
