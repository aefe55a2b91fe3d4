//! Parts of a date, all in UTC.

use time::OffsetDateTime;

pub(super) fn minute(t: OffsetDateTime) -> f64 {
    t.minute().into()
}

pub(super) fn hour(t: OffsetDateTime) -> f64 {
    t.hour().into()
}

pub(super) fn day_of_month(t: OffsetDateTime) -> f64 {
    t.day().into()
}

pub(super) fn day_of_week(t: OffsetDateTime) -> f64 {
    t.weekday().number_days_from_sunday().into()
}

pub(super) fn day_of_year(t: OffsetDateTime) -> f64 {
    t.ordinal().into()
}

pub(super) fn days_in_month(t: OffsetDateTime) -> f64 {
    t.month().length(t.year()).into()
}

pub(super) fn month(t: OffsetDateTime) -> f64 {
    u8::from(t.month()).into()
}

pub(super) fn year(t: OffsetDateTime) -> f64 {
    t.year().into()
}
