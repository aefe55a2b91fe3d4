//! Recording and alerting rules, evaluated in groups at their interval.
