//! One table: the forms of an ECR host name, and what each of them means.
//!
//! The grammar is that of both AWS projects that parse these names (the credential helper and the
//! kubelet's credential provider): anchored, case-sensitive, twelve digits, `.dkr.ecr` or
//! `.dkr-ecr`, optionally `-fips`, a region, and a suffix that AWS owns. Whatever only resembles it
//! is not an ECR host, because a token would be handed to whoever runs that name.

use std::fmt;

/// A group of AWS regions with its own accounts and domain names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China.
    China,
    /// AWS `GovCloud` (US).
    Gov,
    /// The European Sovereign Cloud.
    EuSovereign,
    /// AWS Top Secret.
    Iso,
    /// AWS Secret.
    IsoB,
    /// The isolated European partition.
    IsoE,
    /// The partition known as iso-f.
    IsoF,
}

impl Partition {
    /// The name that ARNs carry in their second place.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::Gov => "aws-us-gov",
            Self::EuSovereign => "aws-eusc",
            Self::Iso => "aws-iso",
            Self::IsoB => "aws-iso-b",
            Self::IsoE => "aws-iso-e",
            Self::IsoF => "aws-iso-f",
        }
    }

    /// The partition of a region, known by how the region's name begins.
    pub fn of_region(region: &str) -> Self {
        const PREFIXES: [(&str, Partition); 7] = [
            ("cn-", Partition::China),
            ("us-gov-", Partition::Gov),
            ("eusc-", Partition::EuSovereign),
            ("us-iso-", Partition::Iso),
            ("us-isob-", Partition::IsoB),
            ("eu-isoe-", Partition::IsoE),
            ("us-isof-", Partition::IsoF),
        ];
        PREFIXES
            .iter()
            .find(|(prefix, _)| region.starts_with(prefix))
            .map_or(Self::Aws, |(_, partition)| *partition)
    }
}

/// One row: a domain suffix, the partitions that use it, and where the API of that form answers.
struct Form {
    suffix: &'static str,
    partitions: &'static [Partition],
    dual_stack: bool,
    /// What follows the region in the API's host name.
    api_suffix: &'static str,
}

impl Form {
    fn api_host(&self, region: &str, fips: bool) -> String {
        let fips_part = if fips { "-fips" } else { "" };
        let api = if self.dual_stack { "ecr" } else { "api.ecr" };
        format!("{api}{fips_part}.{region}.{}", self.api_suffix)
    }
}

const COMMERCIAL: &[Partition] = &[Partition::Aws, Partition::Gov];

const FORMS: [Form; 10] = [
    form("amazonaws.com", COMMERCIAL, false, "amazonaws.com"),
    form(
        "amazonaws.com.cn",
        &[Partition::China],
        false,
        "amazonaws.com.cn",
    ),
    form(
        "amazonaws.eu",
        &[Partition::EuSovereign],
        false,
        "amazonaws.eu",
    ),
    form("c2s.ic.gov", &[Partition::Iso], false, "c2s.ic.gov"),
    form("sc2s.sgov.gov", &[Partition::IsoB], false, "sc2s.sgov.gov"),
    form(
        "cloud.adc-e.uk",
        &[Partition::IsoE],
        false,
        "cloud.adc-e.uk",
    ),
    form(
        "csp.hci.ic.gov",
        &[Partition::IsoF],
        false,
        "csp.hci.ic.gov",
    ),
    form("on.aws", COMMERCIAL, true, "api.aws"),
    form(
        "on.amazonwebservices.com.cn",
        &[Partition::China],
        true,
        "api.amazonwebservices.com.cn",
    ),
    form(
        "on.amazonwebservices.eu",
        &[Partition::EuSovereign],
        true,
        "api.amazonwebservices.eu",
    ),
];

const fn form(
    suffix: &'static str,
    partitions: &'static [Partition],
    dual_stack: bool,
    api_suffix: &'static str,
) -> Form {
    Form {
        suffix,
        partitions,
        dual_stack,
        api_suffix,
    }
}

/// Every form of a host as a pattern of the kubelet, in which `*` stands for one label.
pub(crate) fn patterns() -> impl Iterator<Item = String> {
    let private = FORMS.iter().flat_map(|form| {
        // The dash belongs to the dual-stack names, which are also taken with a dot.
        let names: &[&str] = if form.dual_stack {
            &["dkr-ecr", "dkr-ecr-fips", "dkr.ecr", "dkr.ecr-fips"]
        } else {
            &["dkr.ecr", "dkr.ecr-fips"]
        };
        let pattern = |name| format!("*.{name}.*.{}", form.suffix);
        names.iter().map(pattern)
    });
    private.chain(PUBLIC_HOSTS.iter().map(|(host, _)| (*host).to_owned()))
}

/// The host of ECR Public, and its dual-stack form.
const PUBLIC_HOSTS: [(&str, bool); 2] = [("public.ecr.aws", false), ("ecr-public.aws.com", true)];

/// ECR Public has one API, in this region.
const PUBLIC_REGION: &str = "us-east-1";

/// Which of the two ECR services answers for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// A private registry of one account: API `ecr`.
    Private,
    /// The public gallery: API `ecr-public`.
    Public,
}

impl Service {
    /// The name under which AWS signs requests for this service.
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "ecr",
            Self::Public => "ecr-public",
        }
    }
}

/// An ECR registry, known from its host name alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Registry {
    host: String,
    account: Option<String>,
    region: String,
    fips: bool,
    dual_stack: bool,
    api_host: String,
}

impl Registry {
    /// Reads a host (`123456789012.dkr.ecr.eu-west-1.amazonaws.com`), with or without scheme, port,
    /// and path, or a whole image reference with tag or digest.
    ///
    /// `None` means that the host is not one of ECR's.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(text);
        let authority = rest
            .split_once('/')
            .map_or(rest, |(authority, _)| authority);
        let host = match authority.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
            None => authority,
        };
        Self::of_public_host(host).or_else(|| Self::of_private_host(host))
    }

    fn of_public_host(host: &str) -> Option<Self> {
        let (host, dual_stack) = PUBLIC_HOSTS.into_iter().find(|(name, _)| *name == host)?;
        let api_host = if dual_stack {
            format!("ecr-public.{PUBLIC_REGION}.api.aws")
        } else {
            format!("api.ecr-public.{PUBLIC_REGION}.amazonaws.com")
        };
        Some(Self {
            host: host.to_owned(),
            account: None,
            region: PUBLIC_REGION.to_owned(),
            fips: false,
            dual_stack,
            api_host,
        })
    }

    fn of_private_host(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        if !is_account(account) {
            return None;
        }
        let (dashed, rest) = if let Some(rest) = rest.strip_prefix("dkr.ecr") {
            (false, rest)
        } else {
            (true, rest.strip_prefix("dkr-ecr")?)
        };
        let (fips, rest) = match rest.strip_prefix("-fips") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (region, suffix) = rest.strip_prefix('.')?.split_once('.')?;
        let form = FORMS.iter().find(|form| form.suffix == suffix)?;
        let known = is_region(region) && form.partitions.contains(&Partition::of_region(region));
        // The dash belongs to the dual-stack names; China's were seen with a dot as well.
        if !known || (dashed && !form.dual_stack) {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            account: Some(account.to_owned()),
            region: region.to_owned(),
            fips,
            dual_stack: form.dual_stack,
            api_host: form.api_host(region, fips),
        })
    }

    /// The same registry, with its token issued in another region of its partition. `None` if the
    /// region is of another partition, or the registry is ECR Public, which has one region.
    pub fn in_region(&self, region: &str) -> Option<Self> {
        let partition = Partition::of_region(region);
        if self.is_public() || partition != self.partition() || !is_region(region) {
            return None;
        }
        let form = FORMS
            .iter()
            .find(|form| self.host.ends_with(&format!(".{}", form.suffix)))?;
        Some(Self {
            region: region.to_owned(),
            api_host: form.api_host(region, self.fips),
            ..self.clone()
        })
    }

    /// The same registry, asked at a FIPS or a dual-stack endpoint, although its name need not say
    /// so. Where there is no such endpoint, nothing changes: ECR Public has none for FIPS, the
    /// isolated partitions have none for dual-stack.
    #[must_use]
    pub fn in_form(&self, fips: bool, dual_stack: bool) -> Self {
        if self.is_public() {
            let [(plain, _), (dual, _)] = PUBLIC_HOSTS;
            let named = if self.dual_stack || dual_stack {
                dual
            } else {
                plain
            };
            let named = Self::of_public_host(named);
            return named.map_or_else(
                || self.clone(),
                |named| Self {
                    host: self.host.clone(),
                    ..named
                },
            );
        }
        let fips = self.fips || fips;
        let dual_stack = self.dual_stack || dual_stack;
        let partition = self.partition();
        let form = FORMS
            .iter()
            .filter(|form| form.partitions.contains(&partition))
            .max_by_key(|form| form.dual_stack == dual_stack);
        form.map_or_else(
            || self.clone(),
            |form| Self {
                fips,
                dual_stack: form.dual_stack,
                api_host: form.api_host(&self.region, fips),
                ..self.clone()
            },
        )
    }

    /// The bare host name: no scheme, no port, no path.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The twelve-digit account that owns the registry; `None` for ECR Public.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The region whose API issues tokens for this registry.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The partition that the region belongs to.
    pub fn partition(&self) -> Partition {
        Partition::of_region(&self.region)
    }

    /// The service that issues tokens for this registry.
    pub fn service(&self) -> Service {
        if self.is_public() {
            Service::Public
        } else {
            Service::Private
        }
    }

    /// Whether this is ECR Public.
    pub fn is_public(&self) -> bool {
        self.account.is_none()
    }

    /// Whether the host asks for a FIPS endpoint.
    pub fn fips(&self) -> bool {
        self.fips
    }

    /// Whether the host asks for an endpoint that also answers over IPv6.
    pub fn dual_stack(&self) -> bool {
        self.dual_stack
    }

    /// The host of the API that issues tokens for this registry, unless an endpoint is configured.
    pub fn api_host(&self) -> &str {
        &self.api_host
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// Whether a text is an AWS account number: twelve digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text has the shape of a region's name: words of letters, then a number.
///
/// The shape and not a list, so that a region that opens tomorrow works today.
pub(crate) fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else {
        return false;
    };
    let is_word =
        |word: &str| word.len() >= 2 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    text.len() <= 40
        && words.contains('-')
        && words.split('-').all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests;
