//! Which image the signer runs: the one that the spec names, else the one that ran well last, else the one that release 0.2 has
//! deployed, else the operator's default. So an upgrade of the operator restarts no signer, an image that never ran well is dropped
//! together with the spec that named it, and nobody gives another program access to the key by an edit or a deletion of the Deployment.

use crate::api::TezosSignerStatus;
use crate::open_deployment::{OpenDeployment, running_signer};
use crate::validate::Valid;
use crate::{names, observation};
use k8s_openapi::api::core::v1::Pod;

/// The image of a signer, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The reference of the image.
    pub reference: String,
    /// Why it is used.
    pub source: ImageSource,
    /// The image that ran well last, if any did.
    pub ran_well: Option<String>,
}

/// Why an image is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSource {
    /// `spec.image` names the image.
    Spec,
    /// It is the image that ran well last.
    RanWell,
    /// Release 0.2 has deployed it and remembered it, whether it ran well or not, and it does not run well now.
    DeployedBefore,
    /// No image has run well yet: it is the one that the operator was installed with.
    Default,
}

impl Image {
    /// The part of a sentence that says which image it is, and why.
    pub fn explained(&self) -> String {
        let image = &self.reference;
        match self.source {
            ImageSource::Spec => format!("the signer's image is {image}, from spec.image"),
            ImageSource::RanWell => {
                format!("the signer's image is {image}, the last one that ran well, because spec.image is empty")
            }
            ImageSource::DeployedBefore => format!(
                "the signer's image is {image}, deployed by an earlier release of the operator, because spec.image is empty; it has \
                 not run well since: set spec.image"
            ),
            ImageSource::Default => format!(
                "the signer's image is {image}, the operator's default, because spec.image is empty and no image has run well yet"
            ),
        }
    }

    /// Whether this image is the one that ran well last.
    pub fn ran_well_last(&self) -> bool {
        self.ran_well.as_ref() == Some(&self.reference)
    }

    /// Remembers that it was seen to run well.
    pub fn runs_well(&mut self) {
        self.ran_well = Some(self.reference.clone());
        if self.source != ImageSource::Spec {
            self.source = ImageSource::RanWell;
        }
    }

    /// Writes it into `status`. An image that an earlier release remembered stays there as it is until it is seen to run well; otherwise
    /// the next reconcile would take it for one that never did.
    pub fn remember(&self, status: &mut TezosSignerStatus) {
        if self.source != ImageSource::DeployedBefore {
            status.image.clone_from(&self.ran_well);
            status.deployed_image = Some(self.reference.clone());
        }
    }

    /// The image that is used once `spec.image` is empty, if that is another one that ran well.
    pub fn alternative(&self) -> Option<&str> {
        let other = self.ran_well.as_deref().filter(|image| *image != self.reference);
        other.filter(|_| self.source == ImageSource::Spec)
    }
}

/// Chooses the image of `signer`. `pods` are those that a watch has seen.
///
/// INVARIANT O7: The image in `live` counts only if the operator has put it there, or if the status was lost, and only while it runs well:
/// otherwise `kubectl set image` would have another program sign.
pub(crate) fn image(
    signer: &Valid,
    status: &TezosSignerStatus,
    live: Option<&OpenDeployment>,
    pods: &[Pod],
    default: &str,
) -> Image {
    // Release 0.2 had no deployedImage; its `image` is what deployedImage is today.
    let (ran_well, before) = match &status.deployed_image {
        Some(_) => (status.image.clone(), None),
        None => (None, status.image.as_ref()),
    };
    let running = || {
        let (live, image) = (live?, running(live?)?);
        let is_known = status.deployed_image.as_ref().or(before) == Some(&image) || status.keys.is_empty();
        (is_known && observation::runs_well(&live.known(), pods)).then_some(image)
    };
    let ran_well = ran_well.or_else(running);
    let before = before.filter(|image| !cannot_be_started(image, pods));
    let (reference, source) = match (&signer.image, &ran_well, before) {
        (Some(named), ..) => (named.clone(), ImageSource::Spec),
        (None, Some(image), _) => (image.clone(), ImageSource::RanWell),
        (None, None, Some(image)) => (image.clone(), ImageSource::DeployedBefore),
        (None, None, None) => (default.to_owned(), ImageSource::Default),
    };
    Image { reference, source, ran_well }
}

/// Whether the kubelet cannot start the signer of any pod with `image`, and never has. False if there is no such pod.
fn cannot_be_started(image: &str, pods: &[Pod]) -> bool {
    let mut of_image = pods.iter().filter(|pod| signer_image(pod) == Some(image)).peekable();
    of_image.peek().is_some() && of_image.all(observation::cannot_start_signer)
}

fn signer_image(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.find(|container| container.name == names::SIGNER_CONTAINER)?.image.as_deref()
}

fn running(live: &OpenDeployment) -> Option<String> {
    running_signer(&live.known())?.1.image.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::KeyStatus;
    use crate::build::objects;
    use crate::validate::{tests::example, validate};
    use serde_json::json;

    /// A Deployment with `image`, all of whose pods are new, and one of them.
    fn running(image: &str, signer_ready: bool) -> (OpenDeployment, Vec<Pod>) {
        let mut live = objects(&validate(&example()).unwrap(), image).deployment;
        live.metadata.generation = Some(3);
        live.status = Some(json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1}));
        let pod = json!({
            "metadata": {"name": "p", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u"}]},
            // A webhook has the image pulled from elsewhere.
            "status": {"initContainerStatuses": [{
                "name": "signer", "image": "mirror/other", "imageID": "", "ready": signer_ready, "restartCount": 0,
            }]},
        });
        (live, vec![serde_json::from_value(pod).unwrap()])
    }

    /// A pod with `image`, whose signer's container has that status.
    fn pod_of(image: &str, container: &serde_json::Value) -> Pod {
        let mut status =
            json!({"name": "signer", "image": "mirror/other", "imageID": "", "ready": false, "restartCount": 0});
        status.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        let pod = json!({
            "metadata": {"name": "p", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u"}]},
            "spec": {"containers": [{"name": "baker"}], "initContainers": [{"name": "signer", "image": image}]},
            "status": {"initContainerStatuses": [status]},
        });
        serde_json::from_value(pod).unwrap()
    }

    /// INVARIANT O7: Release 0.2 wrote into `image` what it had deployed, well or not, and no `deployedImage`.
    #[test]
    fn what_release_0_2_has_deployed_did_not_run_well_before_that_is_seen() {
        let is = |image: &str, source| (image.to_owned(), source);
        let of_0_2 = |image: &str| TezosSignerStatus {
            image: Some(image.to_owned()),
            keys: vec![KeyStatus::default()],
            ..TezosSignerStatus::default()
        };
        let with = |containers: &[serde_json::Value]| {
            let pods = containers.iter().map(|container| pod_of("bad", container)).collect();
            (running("bad", true).0, pods)
        };
        let pull = json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}});
        let ends = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3});
        let late = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
        let pulled_anew = json!({"state": {"waiting": {"reason": "ErrImagePull"}}, "restartCount": 1});
        let kept = is("bad", ImageSource::DeployedBefore);
        // What runs well is not restarted by an upgrade of the operator.
        assert_eq!(chosen(None, &of_0_2("good"), &running("good", true)), is("good", ImageSource::RanWell));
        assert_eq!(
            chosen(None, &of_0_2("bad"), &with(std::slice::from_ref(&pull))),
            is("default", ImageSource::Default)
        );
        for unclear in [vec![], vec![ends], vec![late], vec![pulled_anew], vec![pull.clone(), json!({"ready": true})]] {
            let mut live = with(&unclear);
            live.0.status = Some(json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1}));
            assert_eq!(chosen(None, &of_0_2("bad"), &live), kept, "{unclear:?}");
        }
        assert_eq!(chosen(None, &of_0_2("ours"), &running("changed", true)), is("ours", ImageSource::DeployedBefore));
        assert_eq!(chosen(Some("named"), &of_0_2("bad"), &with(&[pull])), is("named", ImageSource::Spec));
    }

    #[test]
    fn what_is_kept_of_release_0_2_is_remembered_as_it_was_until_it_runs_well() {
        let of_0_2 = TezosSignerStatus { image: Some("a:1".to_owned()), ..TezosSignerStatus::default() };
        let mut kept = Image { reference: "a:1".to_owned(), source: ImageSource::DeployedBefore, ran_well: None };
        let mut status = of_0_2.clone();
        kept.remember(&mut status);
        assert_eq!(status, of_0_2);
        kept.runs_well();
        assert_eq!(kept.source, ImageSource::RanWell);
        kept.remember(&mut status);
        assert_eq!((status.image.as_deref(), status.deployed_image.as_deref()), (Some("a:1"), Some("a:1")));
        // The sentence and the status are written together.
        let mut first = Image { reference: "b".to_owned(), source: ImageSource::Default, ran_well: None };
        first.runs_well();
        assert!(first.explained().contains("b, the last one that ran well"), "{}", first.explained());
        let mut named = Image { reference: "b".to_owned(), source: ImageSource::Spec, ran_well: None };
        named.runs_well();
        assert_eq!((named.source, named.ran_well.as_deref()), (ImageSource::Spec, Some("b")));
    }

    fn chosen(
        spec: Option<&str>,
        status: &TezosSignerStatus,
        live: &(OpenDeployment, Vec<Pod>),
    ) -> (String, ImageSource) {
        let mut signer = validate(&example()).unwrap();
        signer.image = spec.map(str::to_owned);
        let image = image(&signer, status, Some(&live.0), &live.1, "default");
        (image.reference, image.source)
    }

    /// INVARIANT O7: `kubectl set image` would otherwise have another program sign.
    #[test]
    fn what_ran_well_last_counts_more_than_what_the_deployment_says_now() {
        let (well, unwell) = (running("changed", true), running("changed", false));
        let none = TezosSignerStatus::default();
        let known = TezosSignerStatus { keys: vec![KeyStatus::default()], ..none.clone() };
        let deployed = |image: &str| TezosSignerStatus { deployed_image: Some(image.to_owned()), ..known.clone() };
        let ran_well = TezosSignerStatus { image: Some("well".to_owned()), ..deployed("bad") };
        let is = |image: &str, source| (image.to_owned(), source);
        assert_eq!(chosen(None, &ran_well, &well), is("well", ImageSource::RanWell));
        assert_eq!(chosen(None, &known, &well), is("default", ImageSource::Default), "nobody knows who changed it");
        assert_eq!(chosen(None, &deployed("ours"), &well), is("default", ImageSource::Default), "somebody changed it");
        // An operator that was replaced before it could write that it runs well.
        assert_eq!(chosen(None, &deployed("changed"), &well), is("changed", ImageSource::RanWell));
        assert_eq!(
            chosen(None, &deployed("changed"), &unwell),
            is("default", ImageSource::Default),
            "it never ran well"
        );
        assert_eq!(chosen(None, &none, &well), is("changed", ImageSource::RanWell), "the status was lost");
        assert_eq!(chosen(None, &none, &unwell), is("default", ImageSource::Default));
        assert_eq!(chosen(Some("named"), &ran_well, &well), is("named", ImageSource::Spec));
    }

    #[test]
    fn what_runs_well_is_said_by_a_complete_rollout_and_a_ready_signer() {
        let (live, pods) = running("a", true);
        assert!(observation::runs_well(&live.known(), &pods));
        for status in [
            json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}),
            json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1}),
            json!({"observedGeneration": 3}),
        ] {
            let mut live = live.clone();
            live.status = Some(status.clone());
            assert!(!observation::runs_well(&live.known(), &pods), "{status}");
        }
        let mut ending = pods.clone();
        ending[0].metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-29T12:00:00Z")).unwrap();
        assert!(!observation::runs_well(&live.known(), &ending));
        assert!(!observation::runs_well(&live.known(), &[]));
    }

    #[test]
    fn the_sentence_says_which_image_and_why() {
        let image = |source, ran_well: Option<&str>| Image {
            reference: "a:2".to_owned(),
            source,
            ran_well: ran_well.map(str::to_owned),
        };
        assert!(image(ImageSource::Spec, None).explained().contains("a:2, from spec.image"));
        assert!(
            image(ImageSource::RanWell, None)
                .explained()
                .contains("a:2, the last one that ran well, because spec.image is empty")
        );
        let before = image(ImageSource::DeployedBefore, None).explained();
        assert!(
            before.contains("a:2, deployed by an earlier release") && before.ends_with("set spec.image"),
            "{before}"
        );
        assert!(image(ImageSource::Default, None).explained().contains("a:2, the operator's default, because"));
        assert_eq!(image(ImageSource::Spec, Some("a:1")).alternative(), Some("a:1"));
        assert_eq!(image(ImageSource::Spec, Some("a:2")).alternative(), None);
        assert_eq!(image(ImageSource::RanWell, Some("a:1")).alternative(), None);
    }
}
