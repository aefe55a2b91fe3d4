//! Brings the whole up in containers and watches it work: see the folder `tests`.
