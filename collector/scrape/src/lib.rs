//! Scraping: manager, pools and loops that turn targets into samples.
