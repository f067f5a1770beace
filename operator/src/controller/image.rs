//! Which image the signer runs: what the spec names, else what was deployed last. So an upgrade of the operator restarts no baker,
//! and what somebody makes of the Deployment, or its deletion, brings no other program to the key.

use super::build::{OpenDeployment, running_signer};
use crate::api::TezosSignerStatus;
use crate::controller::validate::ValidSigner;

/// The image, of which `status` remembers what was deployed last. A status that was lost is made up for by what runs.
pub(super) fn image(
    signer: &ValidSigner,
    status: &TezosSignerStatus,
    live: Option<&OpenDeployment>,
    default: &str,
) -> String {
    let named = signer.image.clone().or_else(|| status.image.clone());
    named.or_else(|| running(live?)).unwrap_or_else(|| default.to_owned())
}

fn running(live: &OpenDeployment) -> Option<String> {
    running_signer(&live.known())?.1.image.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::build::build;
    use crate::controller::validate::{tests::example, validate};

    /// ◆ `kubectl set image` would otherwise have another program sign.
    #[test]
    fn what_was_deployed_last_counts_more_than_what_the_deployment_says_now() {
        let mut signer = validate(&example()).unwrap();
        let live = build(&signer, "changed").deployment;
        let none = TezosSignerStatus::default();
        let deployed = TezosSignerStatus { image: Some("deployed".to_owned()), ..none.clone() };
        assert_eq!(image(&signer, &none, None, "default"), "default");
        assert_eq!(image(&signer, &none, Some(&live), "default"), "changed", "the status was lost");
        assert_eq!(image(&signer, &deployed, Some(&live), "default"), "deployed");
        assert_eq!(image(&signer, &deployed, None, "default"), "deployed", "the Deployment was deleted");
        signer.image = Some("named".to_owned());
        assert_eq!(image(&signer, &deployed, Some(&live), "default"), "named");
    }
}
