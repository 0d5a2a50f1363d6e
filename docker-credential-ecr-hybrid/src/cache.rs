//! Look up, and only when there is nothing fresh, mint: the order is the product.
//!
//! The key is computed from files and environment, so a hit resolves no credential, loads no SDK,
//! and opens no connection. It works while an SSO session has expired, offline, and in a few
//! milliseconds.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::aws_error::{AwsError, Cause};
use crate::aws_files::AwsFiles;
use crate::choice::{Choice, Reason, Wish};
use crate::endpoint;
use crate::envelope::Envelope;
use crate::environment::Environment;
use crate::error::TokenError;
use crate::host::Registry;
use crate::identity::Base;
use crate::key::Key;
use crate::known_accounts::KnownAccounts;
use crate::lock::{self, Asked, Lock};
use crate::lock_note::LockNote;
use crate::log::Log;
use crate::mint::{self, Order};
use crate::settings::{Settings, SettingsError};
use crate::store::{StoreKind, Stores, Swept};
use crate::token::Token;

/// How long a call waits for another process that is minting the same token.
const PATIENCE: Duration = Duration::from_secs(12);

/// How long a renewal may take while the kept token would do as well.
const RENEWAL: Duration = Duration::from_secs(3);

/// After this time a key that nobody mints for has nothing alive: AWS gives tokens twelve hours.
const UNUSED: Duration = Duration::from_hours(24);

/// The most keys that are forgotten with one mint: a desktop's keyring takes its time for each.
const MOST_FORGOTTEN: usize = 8;

/// The most hosts that are remembered beside one token, newest first.
const MOST_HOSTS: usize = 32;

/// Gives out tokens, from the cache while they are fresh and from AWS when they are not.
pub struct TokenSource {
    environment: Environment,
    settings: Result<Settings, SettingsError>,
    wish: Wish,
    minimum_life: Duration,
}

/// Everything about a token that is known before it is looked for.
#[derive(Debug)]
pub struct Plan {
    /// The identity, and why this one.
    pub choice: Choice,
    /// Where the token is kept.
    pub key: Key,
    /// The registry as its API is asked: in the region that a rule names, else in its own.
    pub asked: Registry,
    /// The configured endpoint, which then goes before the registry's own.
    pub endpoint: Option<String>,
}

/// What is kept under a key, and in which store.
pub type Entry = (&'static str, Key, Envelope);

impl Plan {
    fn order(&self) -> Order<'_> {
        Order {
            identity: &self.choice.identity,
            registry: &self.asked,
            endpoint: self.endpoint.as_deref(),
        }
    }
}

impl TokenSource {
    /// A source that follows the environment of this process and the settings file.
    pub fn from_environment() -> Self {
        Self::new(Environment::of_process())
    }

    /// A source that plans by the given environment. A mint itself always reads the process's own.
    pub fn new(environment: Environment) -> Self {
        let settings = Settings::read(&environment);
        Self {
            environment,
            settings,
            wish: Wish::default(),
            minimum_life: Duration::ZERO,
        }
    }

    /// Uses this AWS profile, whatever the environment and the settings say.
    #[must_use]
    pub fn with_profile(mut self, profile: impl Into<String>) -> Self {
        self.wish.profile = Some(profile.into());
        self
    }

    /// Assumes this role on top of the identity, and mints as that role.
    #[must_use]
    pub fn with_role(mut self, role_arn: impl Into<String>) -> Self {
        self.wish.role_arn = Some(role_arn.into());
        self
    }

    /// Asks for tokens with at least this much life left. A kept token with less is renewed. When
    /// renewing fails, or AWS gives shorter lives, a token with less life is still given out: ask
    /// [`Token::expires_at`].
    #[must_use]
    pub fn minimum_life(mut self, life: Duration) -> Self {
        self.minimum_life = life;
        self
    }

    /// A token for a registry. Blocks while AWS is asked.
    pub fn token(&self, registry: &Registry) -> Result<Token, TokenError> {
        let started = Timestamp::now();
        let clock = Instant::now();
        let plan = self.plan(registry)?;
        let stores = self.stores()?;
        let kept = load(&plan, &stores, started);
        if let Some(envelope) = &kept
            && envelope.token.is_fresh(started, self.minimum_life)
        {
            self.remember_host(&stores, &plan, envelope, registry);
            return Ok(envelope.token.clone());
        }
        let renewed = self.renew(registry, &plan, &stores, kept.as_ref(), started, clock);
        match (renewed, kept) {
            // What is kept serves until it really expires, and never after.
            (Err(error), Some(envelope)) if envelope.token.is_alive(Timestamp::now()) => {
                self.log()
                    .line(|| format!("renewing failed, the kept token serves on: {error}"));
                Ok(envelope.token)
            }
            (renewed, _) => renewed,
        }
    }

    /// The identity, key, and endpoint for a registry, from files and environment alone.
    pub fn plan(&self, registry: &Registry) -> Result<Plan, TokenError> {
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        let files = AwsFiles::read(&self.environment);
        let choice = Choice::make(&self.environment, &files, settings, registry, &self.wish)?;
        let asked = match &choice.region {
            Some(region) if !registry.is_public() => registry
                .in_region(region.as_str())
                .ok_or_else(|| SettingsError::Region {
                    host: registry.host().to_owned(),
                    region: region.as_str().to_owned(),
                })?,
            _ => registry.clone(),
        };
        let endpoint = endpoint::configured(&self.environment, &files, &choice, registry.service());
        let asked = endpoint::form(&self.environment, &files, &choice, &asked);
        let key = Key::new(
            &choice.identity,
            asked.service(),
            asked.region(),
            endpoint.as_deref(),
        );
        Ok(Plan {
            choice,
            key,
            asked,
            endpoint,
        })
    }

    /// The live tokens of the identities that are in use now, as host and entry. Offline.
    ///
    /// A host whose token another identity asked for is left out: a `get` of it would not find that
    /// token.
    pub fn kept(&self) -> Vec<(String, Envelope)> {
        let now = Timestamp::now();
        let entries = self.entries().unwrap_or_default().found;
        let mut kept: Vec<(String, Envelope)> = Vec::new();
        for (_, key, envelope) in entries {
            for host in &envelope.hosts {
                let is_ours = Registry::parse(host)
                    .and_then(|registry| self.plan(&registry).ok())
                    .is_some_and(|plan| plan.key == key);
                let is_new = kept.iter().all(|(other, _)| other != host);
                if is_ours && is_new && envelope.token.is_alive(now) {
                    kept.push((host.clone(), envelope.clone()));
                }
            }
        }
        kept.sort_by(|(one, _), (other, _)| one.cmp(other));
        kept
    }

    /// Every entry of every store, dead ones and those of other identities too.
    pub fn entries(&self) -> Result<Swept<Vec<Entry>>, TokenError> {
        Ok(self.stores()?.entries())
    }

    /// Forgets the token that a registry would be given, and any other that it once was. What goes
    /// wrong is told in the log.
    pub fn forget(&self, registry: &Registry) {
        let stores = match self.stores() {
            Ok(stores) => stores,
            Err(error) => {
                self.log()
                    .line(|| format!("the token of {registry} is not forgotten: {error}"));
                return;
            }
        };
        if let Ok(plan) = self.plan(registry) {
            stores.delete(&plan.key);
        }
        for (_, key, envelope) in stores.entries().found {
            if envelope.hosts.iter().any(|host| host == registry.host()) {
                stores.delete(&key);
            }
        }
    }

    /// Forgets every token. Says how many there were.
    pub fn forget_all(&self) -> Result<Swept<usize>, TokenError> {
        Ok(self.stores()?.clear())
    }

    /// The stores in use, in the order in which they are tried.
    pub fn store_names(&self) -> Result<Vec<&'static str>, TokenError> {
        Ok(self.stores()?.names())
    }

    /// The log of this source.
    pub fn log(&self) -> Log {
        let settings = self.settings.as_ref().ok();
        Log::of(&self.environment, settings.and_then(Settings::log))
    }

    /// The environment that this source follows.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    fn stores(&self) -> Result<Stores, SettingsError> {
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        let kind: StoreKind = settings.store(&self.environment)?;
        Ok(Stores::of(kind, &self.environment, self.log()))
    }

    fn renew(
        &self,
        registry: &Registry,
        plan: &Plan,
        stores: &Stores,
        kept: Option<&Envelope>,
        started: Timestamp,
        clock: Instant,
    ) -> Result<Token, TokenError> {
        let deadline = self.environment.time_limit();
        // A credential process may wait for a person, who is asked once, and not every minute.
        let is_process = matches!(plan.choice.identity.base(), Base::Process { .. });
        // Without a store there is nothing to share, and so no reason to wait for each other.
        let folder = self
            .environment
            .cache_folder()
            .filter(|_| !stores.names().is_empty());
        let mut lock = match Lock::ask(folder.as_deref(), &plan.key) {
            Asked::Free(lock) => Some(lock),
            Asked::Impossible => {
                self.log()
                    .line(|| "no place for a lock file: minting without".to_owned());
                None
            }
            // Someone is renewing already, and what is kept still serves.
            Asked::Taken(_) if let Some(envelope) = kept => return Ok(envelope.token.clone()),
            // The token of whoever has it will be kept nowhere either.
            Asked::Taken(waiting) if says_not_kept(&waiting.read_note()) => None,
            Asked::Taken(waiting) => waiting.wait(patience(is_process, deadline)),
        };
        // Whoever held the lock before may have minted, or found out that there is no point.
        if let Some(envelope) = load(plan, stores, Timestamp::now())
            && envelope.token.is_fresh(Timestamp::now(), self.minimum_life)
        {
            self.remember_host(stores, plan, &envelope, registry);
            return Ok(envelope.token);
        }
        let kept_serves = kept
            .is_some_and(|envelope| envelope.token.remaining_life(started) >= self.minimum_life);
        let note = lock.as_ref().map_or_else(String::new, Lock::read_note);
        if let Some(error) = LockNote::read(&note).and_then(|note| {
            let doing = mint::doing(plan.order());
            note.refusal(started, kept_serves, doing, &plan.choice.identity)
        }) {
            return Err(error.into());
        }
        if says_not_kept(&note) {
            // There is nothing to wait for: those who do are let in at once.
            lock = None;
        }
        let left = deadline.saturating_sub(clock.elapsed());
        let limit = if kept_serves && !is_process {
            left.min(RENEWAL)
        } else {
            left
        };
        let minted = mint_checked(plan, folder.as_deref(), limit);
        self.log().line(|| match &minted {
            Ok(token) => format!(
                "minted for {registry} as {}, expires {}",
                plan.choice.identity,
                token.expires_at()
            ),
            Err(error) => format!("minting for {registry} failed: {error}"),
        });
        match &minted {
            Ok(token) => {
                let mut hosts = kept.map_or_else(Vec::new, |kept| kept.hosts.clone());
                add_host(&mut hosts, registry);
                let envelope = Envelope {
                    token: token.clone(),
                    hosts,
                    identity: plan.choice.identity.to_string(),
                };
                let is_kept = stores.save(&plan.key, &envelope, Timestamp::now());
                match &mut lock {
                    Some(lock) if !is_kept => {
                        lock.leave_note(&LockNote::not_kept(Timestamp::now()));
                    }
                    Some(lock) => lock.is_of_use(),
                    None => {}
                }
                if let Some(folder) = &folder {
                    forget_unused(folder, stores);
                }
            }
            Err(TokenError::Aws(error)) => {
                if let Some(lock) = &mut lock
                    && let Some(note) = LockNote::refused(error, Timestamp::now())
                {
                    lock.leave_note(&note);
                }
            }
            Err(_) => {}
        }
        minted
    }

    /// Notes that one more host uses a token, so that `list` can name it. Once for each host.
    fn remember_host(
        &self,
        stores: &Stores,
        plan: &Plan,
        envelope: &Envelope,
        registry: &Registry,
    ) {
        let mut envelope = envelope.clone();
        if add_host(&mut envelope.hosts, registry) {
            stores.save(&plan.key, &envelope, Timestamp::now());
            self.log()
                .line(|| format!("{registry} shares a kept token"));
        }
    }
}

/// How long a call waits for another one. A stopped holder must leave it time for a mint of its own.
fn patience(is_process: bool, deadline: Duration) -> Duration {
    if is_process {
        deadline.saturating_sub(PATIENCE).max(deadline / 2)
    } else {
        PATIENCE.min(deadline / 2)
    }
}

/// Removes what nobody has renewed for longer than a token lives, from stores that forget nothing by
/// themselves.
fn forget_unused(folder: &Path, stores: &Stores) {
    for (key, lock) in lock::unused(folder, UNUSED).take(MOST_FORGOTTEN) {
        // A token that lives was minted before its lock told the time.
        if stores.load(&key, Timestamp::now()).is_none() {
            stores.delete(&key);
            lock.is_of_no_more_use();
        }
    }
}

/// Mints, and checks the account where it was what the identity was chosen for.
fn mint_checked(plan: &Plan, folder: Option<&Path>, limit: Duration) -> Result<Token, TokenError> {
    let identity = &plan.choice.identity;
    let token = mint::mint(plan.order(), limit)?;
    let Some(minted) = token.account() else {
        return Ok(token);
    };
    if let Some(folder) = folder
        && identity.profile().is_some()
        && identity.account().is_none()
    {
        KnownAccounts::remember(folder, identity, minted);
    }
    match account_missed(plan, &token) {
        Some(account) => {
            let detail = format!("{identity} acts in account {minted}, not in {account}");
            let doing = format!("get an ECR token for {}", plan.asked);
            Err(AwsError::new(Cause::WrongAccount, doing, detail).into())
        }
        None => Ok(token),
    }
}

/// What is kept for a plan. A token of another account than the asked one is none: a registry of
/// its own account may well have left it under the same key.
fn load(plan: &Plan, stores: &Stores, now: Timestamp) -> Option<Envelope> {
    stores
        .load(&plan.key, now)
        .filter(|envelope| account_missed(plan, &envelope.token).is_none())
}

/// The account that the identity was chosen for, where the token is of another. Every token that is
/// given out passes here, a kept one as well as a new one. One whose account AWS did not tell
/// passes.
fn account_missed<'a>(plan: &'a Plan, token: &Token) -> Option<&'a str> {
    match (&plan.choice.reason, token.account()) {
        (Reason::OnlyProfile { account, .. }, Some(minted)) if account != minted => Some(account),
        _ => None,
    }
}

fn says_not_kept(note: &str) -> bool {
    LockNote::read(note).is_some_and(|note| note.says_not_kept(Timestamp::now()))
}

/// Adds a host if it is new, and says whether it was.
fn add_host(hosts: &mut Vec<String>, registry: &Registry) -> bool {
    if hosts.iter().any(|host| host == registry.host()) {
        return false;
    }
    hosts.insert(0, registry.host().to_owned());
    hosts.truncate(MOST_HOSTS);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_process_is_waited_for_and_a_stopped_holder_leaves_time_for_a_mint() {
        let wait =
            |is_process, seconds| patience(is_process, Duration::from_secs(seconds)).as_secs();
        assert_eq!(wait(false, 30), 12);
        assert_eq!(wait(false, 4), 2);
        assert_eq!(wait(true, 30), 18);
        assert_eq!(wait(true, 300), 288);
        assert_eq!(wait(true, 4), 2);
    }

    fn key(variables: &[(&str, &str)], host: &str) -> Key {
        let source = TokenSource::new(Environment::given(variables.iter().copied()));
        source.plan(&Registry::parse(host).unwrap()).unwrap().key
    }

    const KEYS: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];

    #[test]
    fn one_principal_has_one_token_for_all_registries_of_a_region() {
        let one = key(&KEYS, "111122223333.dkr.ecr.eu-west-1.amazonaws.com");
        let other = key(&KEYS, "444455556666.dkr.ecr.eu-west-1.amazonaws.com");
        let dual_stack = key(&KEYS, "444455556666.dkr-ecr.eu-west-1.on.aws");
        assert_eq!(one, other);
        assert_eq!(one, dual_stack);
    }

    #[test]
    fn region_service_endpoint_and_identity_each_make_another_token() {
        let host = "111122223333.dkr.ecr.us-east-1.amazonaws.com";
        let base = key(&KEYS, host);
        let other_region = key(&KEYS, "111122223333.dkr.ecr.us-east-2.amazonaws.com");
        let public = key(&KEYS, "public.ecr.aws");
        let endpoint = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
        let endpoint = key(&endpoint, host);
        let identity = key(&[("AWS_ACCESS_KEY_ID", "AKID2"), KEYS[1]], host);
        for other in [other_region, public, endpoint, identity] {
            assert_ne!(base, other);
        }
    }
}
