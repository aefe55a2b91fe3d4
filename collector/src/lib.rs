//! The collector: scrape, keep, evaluate, deliver; the API and the page.
