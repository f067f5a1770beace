//! Names of AWS: regions, keys of KMS, and its endpoints.

use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

/// The name of an AWS region: lower-case letters, digits and hyphens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AwsRegion(String);

serde_as_text!(AwsRegion);

/// A text is not the name of an AWS region. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of an AWS region: expected one such as eu-west-1")]
pub struct AwsRegionError(String);

impl AwsRegion {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AwsRegion {
    type Err = AwsRegionError;
    fn from_str(text: &str) -> Result<Self, AwsRegionError> {
        let words: Vec<_> = text.split('-').collect();
        let is_word =
            |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let ends_in_number = words.last().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()));
        if text.len() <= 32 && words.len() >= 3 && words.iter().all(is_word) && ends_in_number {
            return Ok(Self(text.to_owned()));
        }
        Err(AwsRegionError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for AwsRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The URL of an endpoint of KMS: `https://…`, or `http://` on a loopback address, for a stand-in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KmsEndpoint(String);

serde_as_text!(KmsEndpoint);

/// A text is not an endpoint that KMS can be asked at. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KmsEndpointError {
    /// It is no URL of a host, with or without a port.
    #[error("{0:?} is not an endpoint: expected https://HOST or https://HOST:PORT, without a path")]
    Form(String),
    /// Whoever is between could read and replace what is signed, and use the request again.
    #[error("{0:?} is not https, which only a loopback address may do without: use https://")]
    Insecure(String),
}

impl KmsEndpoint {
    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KmsEndpoint {
    type Err = KmsEndpointError;
    fn from_str(text: &str) -> Result<Self, KmsEndpointError> {
        let shown = || text.chars().take(100).collect::<String>();
        let form = || KmsEndpointError::Form(shown());
        let bare = text.strip_suffix('/').unwrap_or(text);
        let (scheme, authority) = bare.split_once("://").ok_or_else(form)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && (!host.starts_with('[') || host.ends_with(']')) => {
                (host, Some(port))
            }
            _ => (authority, None),
        };
        let is_host = |host: &str| {
            let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            v6.map_or_else(
                || !host.is_empty() && host.len() <= 253 && host.bytes().all(name),
                |v6| v6.parse::<std::net::Ipv6Addr>().is_ok(),
            )
        };
        if !is_host(host) || port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Err(form());
        }
        let is_loopback = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match scheme {
            "https" => Ok(Self(bare.to_owned())),
            "http" if is_loopback => Ok(Self(bare.to_owned())),
            "http" => Err(KmsEndpointError::Insecure(shown())),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for KmsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a KMS key: its ARN, the ARN of an alias, or `alias/NAME` in the configured region. A bare key id says neither region nor
/// account, so that it is refused.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KmsKey(String);

serde_as_text!(KmsKey);

/// A text is not the name of a KMS key. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a KMS key: expected arn:aws:kms:REGION:ACCOUNT:key/ID, arn:aws:kms:REGION:ACCOUNT:alias/NAME, or alias/NAME"
)]
pub struct KmsKeyError(String);

impl KmsKey {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region of an ARN; `None` for `alias/NAME`.
    pub fn region(&self) -> Option<&str> {
        self.0.strip_prefix("arn:")?.split(':').nth(2)
    }
}

impl FromStr for KmsKey {
    type Err = KmsKeyError;
    fn from_str(text: &str) -> Result<Self, KmsKeyError> {
        let error = || KmsKeyError(text.chars().take(120).collect());
        let is_alias = |name: &str| {
            let ok = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
            name.strip_prefix("alias/").is_some_and(|name| (1..=250).contains(&name.len()) && name.bytes().all(ok))
        };
        let is_key_id = |name: &str| {
            let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            name.strip_prefix("key/").is_some_and(|id| (1..=64).contains(&id.len()) && id.bytes().all(ok))
        };
        let is_name = match text.split(':').collect::<Vec<_>>()[..] {
            [alias] => is_alias(alias),
            ["arn", partition, "kms", region, account, name] => {
                (partition == "aws" || partition.starts_with("aws-"))
                    && region.parse::<AwsRegion>().is_ok()
                    && account.len() == 12
                    && account.bytes().all(|b| b.is_ascii_digit())
                    && (is_alias(name) || is_key_id(name))
            }
            _ => false,
        };
        if is_name { Ok(Self(text.to_owned())) } else { Err(error()) }
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_arn_or_alias() {
        let region = |text: &str| text.parse::<KmsKey>().unwrap().region().map(ToOwned::to_owned);
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(region(&format!("arn:aws:kms:eu-west-1:111122223333:key/{id}")).unwrap(), "eu-west-1");
        assert_eq!(
            region("arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab").unwrap(),
            "us-east-1"
        );
        assert_eq!(region("arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/baker").unwrap(), "us-gov-west-1");
        assert_eq!(region("alias/team/baker_one"), None);
        for wrong in [
            "",
            id,
            "baker",
            "alias/",
            "alias/a b",
            "arn:aws:kms:eu-west-1:111122223333:key/",
            "arn:aws:kms:eu-west-1:1111:key/1234",
            "arn:aws:kms::111122223333:key/1234",
            "arn:aws:s3:eu-west-1:111122223333:key/1234",
            "arn:aws:kms:eu-west-1:111122223333:1234",
        ] {
            assert!(wrong.parse::<KmsKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoints_are_https_but_on_loopback() {
        for good in [
            "https://vpce-0a-1b.kms.eu-west-1.vpce.amazonaws.com",
            "https://kms.internal:8443",
            "http://127.0.0.1:4566",
            "http://[::1]:4566",
            "http://localhost:4566/",
        ] {
            assert_eq!(good.parse::<KmsEndpoint>().unwrap().as_str(), good.trim_end_matches('/'));
        }
        assert!(matches!("http://kms.internal".parse::<KmsEndpoint>(), Err(KmsEndpointError::Insecure(_))));
        for wrong in [
            "",
            "kms.internal",
            "ftp://127.0.0.1",
            "https://",
            "https://a/b",
            "https://a:0",
            "https://a:b",
            "https://u@a",
        ] {
            assert!(matches!(wrong.parse::<KmsEndpoint>(), Err(KmsEndpointError::Form(_))), "{wrong}");
        }
    }

    #[test]
    fn regions_have_the_form_of_aws() {
        for good in ["eu-west-1", "us-gov-west-1", "ap-southeast-5"] {
            assert_eq!(good.parse::<AwsRegion>().unwrap().as_str(), good);
        }
        for wrong in ["", "eu", "eu-west", "EU-WEST-1", "eu-west-1a", "eu west 1", "eu--1"] {
            assert!(wrong.parse::<AwsRegion>().is_err(), "{wrong}");
        }
    }
}
