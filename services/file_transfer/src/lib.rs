//! Keeps files: upload, download, list, delete; three replicas on one volume.
