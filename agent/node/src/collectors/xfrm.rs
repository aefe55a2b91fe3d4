//! Packets that IPsec could not handle, from `/proc/net/xfrm_stat`.

use agent_exposition::{Kind, Page};
use agent_procfs::vmstat;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "xfrm",
    help: "Packets that IPsec could not handle.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Xfrm { file: Source::new(context.root.proc("net/xfrm_stat")) })),
};

struct Xfrm {
    file: Source,
}

impl Collector for Xfrm {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        // Names and numbers, as in /proc/vmstat.
        let fields = match self.file.parse_lossy(vmstat::parse) {
            Ok(fields) => fields,
            // A kernel without CONFIG_XFRM_STATISTICS does not have the file.
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        for (field, packets) in fields {
            let name = format!("node_xfrm_{}_packets_total", snake_case(field.strip_prefix("Xfrm").unwrap_or(field)));
            page.single(name, help(field), Kind::Counter, packets as f64);
        }
        Ok(Outcome::Collected)
    }
}

/// `InNoStates` is `in_no_states`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (position, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && position > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// What the kernel counts, by its documentation of `xfrm_proc`.
fn help(field: &str) -> String {
    let meaning = match field {
        "XfrmInError" => "received and dropped for a reason that has no counter of its own",
        "XfrmInBufferError" => "received and dropped for want of a buffer",
        "XfrmInHdrError" => "received with a header that makes no sense",
        "XfrmInNoStates" => "received for which there is no state (wrong SPI, address or protocol)",
        "XfrmInStateProtoError" => "received and refused by the protocol's transformation (wrong key)",
        "XfrmInStateModeError" => "received and refused by the mode's transformation",
        "XfrmInStateSeqError" => "received with a sequence number outside the window",
        "XfrmInStateExpired" => "received for a state that has expired",
        "XfrmInStateMismatch" => "received for a state whose options do not match",
        "XfrmInStateInvalid" => "received for a state that is not valid",
        "XfrmInTmplMismatch" => "received with states that the policy's template does not fit",
        "XfrmInNoPols" => "received for states without a policy",
        "XfrmInPolBlock" => "received and dropped by a policy",
        "XfrmInPolError" => "received for which the policy failed",
        "XfrmOutError" => "to be sent and dropped for a reason that has no counter of its own",
        "XfrmOutBundleGenError" => "to be sent for which no bundle could be made",
        "XfrmOutBundleCheckError" => "to be sent whose bundle failed the check",
        "XfrmOutNoStates" => "to be sent for which there is no state",
        "XfrmOutStateProtoError" => "to be sent and refused by the protocol's transformation",
        "XfrmOutStateModeError" => "to be sent and refused by the mode's transformation",
        "XfrmOutStateSeqError" => "to be sent when the sequence numbers were used up",
        "XfrmOutStateExpired" => "to be sent for a state that has expired",
        "XfrmOutStateInvalid" => "to be sent for a state that is not valid",
        "XfrmOutPolBlock" => "to be sent and dropped by a policy",
        "XfrmOutPolDead" => "to be sent for a policy that is going away",
        "XfrmOutPolError" => "to be sent for which the policy failed",
        "XfrmFwdHdrError" => "to be forwarded with a header that makes no sense",
        "XfrmAcquireError" => "for which the daemon that negotiates states could not be asked",
        field => return format!("Packets: field {field} of /proc/net/xfrm_stat."),
    };
    format!("Packets {meaning}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics() {
        assert_eq!(snake_case("InNoStates"), "in_no_states");
        assert_eq!(snake_case("OutBundleCheckError"), "out_bundle_check_error");
        assert_eq!(snake_case(""), "");
    }
}
