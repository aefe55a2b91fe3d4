//! Pages that Prometheus reads and pages that it refuses, for the parser's own test and for the comparison with a real
//! Prometheus. Each page stands for one behaviour.

#![allow(dead_code, reason = "each test takes the tables that it needs")]

use agent_exposition::Format::{self, OpenMetrics100, Text004};

pub struct Case {
    pub format: Format,
    pub page: &'static [u8],
    /// How a real Prometheus 2.42 compares.
    pub oracle: Oracle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Oracle {
    /// The same.
    Agrees,
    /// It was only in version 3 that Prometheus came to this.
    Since3,
    /// Prometheus reads this and we do not, for the reason given.
    Laxer(&'static str),
    /// We read this and Prometheus does not, for the reason given.
    Stricter(&'static str),
}

const fn text(page: &'static str) -> Case {
    Case { format: Text004, page: page.as_bytes(), oracle: Oracle::Agrees }
}

const fn om(page: &'static str) -> Case {
    Case { format: OpenMetrics100, page: page.as_bytes(), oracle: Oracle::Agrees }
}

const fn bytes(format: Format, page: &'static [u8]) -> Case {
    Case { format, page, oracle: Oracle::Agrees }
}

const fn but(oracle: Oracle, case: Case) -> Case {
    Case { format: case.format, page: case.page, oracle }
}

const RAW_NEWLINE: Oracle = Oracle::Laxer("a line is a line: a newline inside quotes has to be written \\n");

pub const ACCEPTED: &[Case] = &[
    text(""),
    text("\n\n"),
    text("a 1"),
    text("a 1\n"),
    but(
        Oracle::Stricter("node_exporter reads such textfiles; Prometheus takes the blanks for a part of the name"),
        text("  a 1\n"),
    ),
    text("a\t1\t\n"),
    text("a 1 1700000000000\n"),
    text("a{} 1\n"),
    text("a {b=\"c\"} 1\n"),
    text("a{b=\"c\",} 1\n"),
    text("a{ b = \"c\" , d = \"e\" } 1\n"),
    text("a{b=\"c\" d=\"e\"} 1\n"),
    text("a{b=\"c\"}1\n"),
    text("a+1\n"),
    text("a:b{c=\"{}=,#\"} 1\n"),
    text("a{b=\"\\\\ \\\" \\n \\t\"} 1\n"),
    text("a{b=\"é € 😀\"} 1\n"),
    text("a{b=\"\0\"} 1\n"),
    text("a NaN\nb +Inf\nc -inf\nd iNf\ne 1e3\nf .5\ng 5.\nh -0\ni Infinity\nj nan\n"),
    text("# just a comment\na 1\n"),
    text("#without a blank\na 1\n"),
    text("#\na 1\n"),
    text("# HELP\n"),
    text("# HELPFUL words\n"),
    text("# TYPEa counter\n"),
    text("# HELP a\n"),
    text("# HELP a \\\\ and \\n \"quoted\"\na 1\n"),
    text("#  \tHELP \t a  words\na 1\n"),
    text("# TYPE a counter\n# TYPE b gauge\n# TYPE c histogram\n# TYPE d summary\n# TYPE e untyped\na 1\n"),
    text("# TYPE a counter\na 1\n# TYPE a gauge\na{b=\"c\"} 2\n"),
    text("# EOF\na 1\n"),
    bytes(Text004, b"# \xff\na 1\n"),
    but(Oracle::Since3, text("{\"a.b\",c=\"d\"} 1\n")),
    but(Oracle::Since3, text("{\"a.b\"} 1\n")),
    but(Oracle::Since3, text("{c=\"d\",\"a \\\" b\"} 1\n")),
    but(Oracle::Since3, text("a{\"l.m\"=\"d\"} 1\n")),
    but(Oracle::Since3, text("# HELP \"a.b\" words\n# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n")),
    om("# EOF"),
    om("# EOF\n"),
    om("a 1\n# EOF\n"),
    om("a{} 1\n# EOF\n"),
    om("a{b=\"c\",d=\"e\"} 1 1700000000.123\n# EOF\n"),
    but(Oracle::Since3, om("a{b=\"c\",} 1\n# EOF\n")),
    om("# TYPE a counter\n# HELP a \\\"words\\\" \\\\ \\n\na_total 1 # {trace=\"x\"} 0.5\n# EOF\n"),
    om("a_total 1 1700000000 # {trace=\"x\",span=\"y\"} 0.5 1700000000.5\n# EOF\n"),
    om("a_bucket{le=\"1.0\"} 1 # {} 0.5\n# EOF\n"),
    om("# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1\n# EOF\n"),
    om("# UNIT a \na 1\n# EOF\n"),
    om("# HELP a \n# TYPE a gaugehistogram\n# TYPE b info\n# TYPE c stateset\n# TYPE d unknown\na 1\n# EOF\n"),
    om("a{b=\"# {\"} 1\n# EOF\n"),
    om("a{b=\"é\"} NaN\n# EOF\n"),
    om("a 1 -1.5\n# EOF\n"),
    but(Oracle::Since3, om("{\"a.b\",c=\"d\"} 1\n# EOF\n")),
    but(Oracle::Since3, om("a{\"l.m\"=\"d\"} 1\n# EOF\n")),
];

pub const REFUSED: &[Case] = &[
    text("a\n"),
    text("a \n"),
    text("a{b=\"c\"}\n"),
    text("a b\n"),
    text("a 1 x\n"),
    text("a 1 1.5\n"),
    text("a 1 -5\n"),
    text("a 1 1_2\n"),
    text("a 1 2 3\n"),
    text("a 1 99999999999999999999\n"),
    text("a 1_000\n"),
    text("a 0x1p4\n"),
    text("a 0x10\n"),
    text("a 1e400\n"),
    text("a +NaN\n"),
    text("a --1\n"),
    text("a 1,5\n"),
    text("a 1\r\n"),
    text("1a 1\n"),
    text("-a 1\n"),
    text("a-b 1\n"),
    text("é 1\n"),
    but(Oracle::Laxer("a zero byte at the start of a line ends the page for Prometheus, silently"), text("\0a 1\n")),
    text("a\0 1\n"),
    text("a 1\0\n"),
    text("= 1\n"),
    text("{} 1\n"),
    text("{b=\"c\"} 1\n"),
    text("a{b} 1\n"),
    text("a{b=} 1\n"),
    text("a{b=c} 1\n"),
    text("a{b='c'} 1\n"),
    text("a{b=\"c} 1\n"),
    text("a{b=\"c\\\"} 1\n"),
    text("a{b=\"c\" 1\n"),
    text("a{b=\"c\"\n"),
    text("a{b=\"c\",\n"),
    text("a{,} 1\n"),
    text("a{b=\"c\",,} 1\n"),
    text("a{,b=\"c\"} 1\n"),
    text("a{1b=\"c\"} 1\n"),
    text("a{b:c=\"d\"} 1\n"),
    text("a{b=\"c\"}} 1\n"),
    text("a{{b=\"c\"} 1\n"),
    text("a{b\0=\"c\"} 1\n"),
    text("a{b=\0\"c\"} 1\n"),
    text("a {b=\"c\"} {d=\"e\"} 1\n"),
    text("{\"a\",\"b\"} 1\n"),
    text("a{\"b\"} 1\n"),
    text("# TYPE a\n"),
    text("# TYPE a \n"),
    text("# TYPE a countr\n"),
    text("# TYPE a counter \n"),
    text("# TYPE a unknown\n"),
    text("# TYPE 1a counter\n"),
    text("# HELP \n"),
    text("# HELP 1a words\n"),
    bytes(Text004, b"a{b=\"\xff\"} 1\n"),
    bytes(Text004, b"# HELP a \xff\n"),
    but(RAW_NEWLINE, text("a{b=\"c\nd\"} 1\n")),
    text("<!DOCTYPE html>\n"),
    text("{\"status\":\"success\"}\n"),
    om(""),
    om("a 1\n"),
    om("a 1"),
    om("a 1\n# EOF\n\n"),
    om("a 1\n# EOF\na 2\n"),
    om("a 1\n# EOF \n"),
    om("a 1\n#EOF\n"),
    om("\n# EOF\n"),
    om(" a 1\n# EOF\n"),
    om("a  1\n# EOF\n"),
    om("a 1 \n# EOF\n"),
    om("a\t1\n# EOF\n"),
    om("a {b=\"c\"} 1\n# EOF\n"),
    om("a{b=\"c\"}1\n# EOF\n"),
    om("a{b=\"c\", d=\"e\"} 1\n# EOF\n"),
    om("a{b =\"c\"} 1\n# EOF\n"),
    om("a{b=\"c\"d=\"e\"} 1\n# EOF\n"),
    om("a{,} 1\n# EOF\n"),
    om("a{b=\"c\",,} 1\n# EOF\n"),
    om("a 1 NaN\n# EOF\n"),
    om("a 1 +Inf\n# EOF\n"),
    om("a 1 x\n# EOF\n"),
    om("a 1 1 1\n# EOF\n"),
    om("a 1 # x\n# EOF\n"),
    om("a 1 # {\n# EOF\n"),
    om("a 1 # {b=\"c\"}\n# EOF\n"),
    om("a 1 # {b=\"c\"} x\n# EOF\n"),
    om("a 1 # {b} 1\n# EOF\n"),
    om("a 1 # {b=\"c\"} 1 x\n# EOF\n"),
    om("a 1 # {b=\"c\"} 1 1 1\n# EOF\n"),
    om("a 1 # {b=\"c\"} 1 NaN\n# EOF\n"),
    om("a 1  # {b=\"c\"} 1\n# EOF\n"),
    om("a 1 #{b=\"c\"} 1\n# EOF\n"),
    om("# a comment\n# EOF\n"),
    om("#\n# EOF\n"),
    om("# HELP a\n# EOF\n"),
    om("# HELP  a words\n# EOF\n"),
    om("# TYPE a\n# EOF\n"),
    om("# TYPE a untyped\n# EOF\n"),
    om("# TYPE a counter \n# EOF\n"),
    om("# UNIT a_seconds bytes\n# EOF\n"),
    om("# UNIT seconds seconds\n# EOF\n"),
    om("# UNIT a_seconds\n# EOF\n"),
    om("a 1\r\n# EOF\n"),
    bytes(OpenMetrics100, b"a{b=\"\xff\"} 1\n# EOF\n"),
];
