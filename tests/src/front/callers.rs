//! Whose an access key id is.
//!
//! The emulator forgets sessions and keys when it ends, and gives new ones other ids when it is
//! told again. The front remembers them, so that credentials that are already out there go on
//! meaning the same principal.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::file;
use super::lock;
use super::moto::{Moto, MotoError};
use super::operation::{Operation, Scope, form_value};
use super::tokens::Caller;
use super::xml;

/// Keys that are remembered; the oldest go first.
const KEPT: usize = 500;

/// Access key ids and their principals.
#[derive(Debug)]
pub(super) struct Callers {
    path: PathBuf,
    /// Seen when the emulator made them.
    made: Mutex<Vec<Caller>>,
    /// Asked of the emulator.
    asked: Mutex<HashMap<String, Caller>>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    callers: Vec<Caller>,
}

impl Callers {
    /// Opens what was remembered; a missing or broken file is nothing.
    pub(super) fn open(path: PathBuf) -> Self {
        let made = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok())
            .map_or_else(Vec::new, |kept| kept.callers);
        Self {
            path,
            made: Mutex::new(made),
            asked: Mutex::default(),
        }
    }

    /// The account that a request of this key must be given to the emulator with, when the
    /// emulator itself would not know: a remembered key, or a key id that is an account's number.
    pub(super) fn account_of(&self, access_key: &str) -> Option<String> {
        self.remembered(access_key)
            .map(|caller| caller.account)
            .or_else(|| is_account(access_key).then(|| access_key.to_owned()))
    }

    /// The principal of a key that the front saw being made.
    pub(super) fn remembered(&self, access_key: &str) -> Option<Caller> {
        lock(&self.made)
            .iter()
            .rev()
            .find(|caller| caller.access_key == access_key)
            .cloned()
    }

    /// The principal of whoever signed; the emulator is asked once for each key.
    pub(super) async fn identify(&self, moto: &Moto, scope: &Scope) -> Result<Caller, MotoError> {
        let key = &scope.access_key;
        if let Some(caller) = self.remembered(key) {
            return Ok(caller);
        }
        if let Some(caller) = lock(&self.asked).get(key).cloned() {
            return Ok(caller);
        }
        let scope = Scope {
            service: "sts".to_owned(),
            ..scope.clone()
        };
        let account = self.account_of(key).unwrap_or_default();
        let form = "Action=GetCallerIdentity&Version=2011-06-15";
        let answer = moto.query(&account, &scope, form).await?;
        let caller = Caller {
            principal: xml::first(&answer, "Arn").unwrap_or_default(),
            account: xml::first(&answer, "Account").unwrap_or_default(),
            access_key: key.clone(),
        };
        lock(&self.asked).insert(key.clone(), caller.clone());
        Ok(caller)
    }

    /// Something changed in IAM, or the emulator is another one.
    pub(super) fn forget_asked(&self) {
        lock(&self.asked).clear();
    }

    /// Remembers the keys that an answer of STS or IAM hands out. `caller` is who asked.
    pub(super) fn learn(
        &self,
        operation: &Operation,
        form: &[u8],
        answer: &str,
        caller: Option<&Caller>,
    ) -> std::io::Result<()> {
        let principal = match (operation.service.as_str(), operation.action.as_str()) {
            ("sts", action) if action.starts_with("AssumeRole") => xml::first(answer, "Arn"),
            ("sts", "GetSessionToken") => caller.map(|caller| caller.principal.clone()),
            ("iam", "CreateAccessKey") => caller.map(|caller| {
                let name = form_value(form, "UserName").or_else(|| xml::first(answer, "UserName"));
                format!(
                    "arn:aws:iam::{}:user/{}",
                    caller.account,
                    name.unwrap_or_default()
                )
            }),
            _ => return Ok(()),
        };
        let (Some(principal), Some(access_key)) = (principal, xml::first(answer, "AccessKeyId"))
        else {
            return Ok(());
        };
        let account = principal.split(':').nth(4).unwrap_or_default().to_owned();
        let mut made = lock(&self.made);
        made.push(Caller {
            principal,
            account,
            access_key,
        });
        let surplus = made.len().saturating_sub(KEPT);
        made.drain(..surplus);
        let kept = Kept {
            callers: made.clone(),
        };
        file::replace(&self.path, &serde_json::to_vec(&kept).unwrap_or_default())
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::operation::Protocol;
    use super::*;

    fn operation(service: &str, action: &str) -> Operation {
        Operation {
            service: service.to_owned(),
            action: action.to_owned(),
            protocol: Protocol::Query,
            scope: None,
        }
    }

    #[test]
    fn an_assumed_role_is_remembered_over_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("callers.json");
        let answer = "<R><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>HIDDEN</SecretAccessKey></Credentials><AssumedRoleUser><Arn>arn:aws:sts::210987654321:assumed-role/x-pull/s</Arn></AssumedRoleUser></R>";
        Callers::open(path.clone())
            .learn(&operation("sts", "AssumeRole"), b"", answer, None)
            .expect("learnt");
        let caller = Callers::open(path.clone())
            .remembered("ASIA1")
            .expect("a caller");
        assert_eq!(
            caller.principal,
            "arn:aws:sts::210987654321:assumed-role/x-pull/s"
        );
        assert_eq!(caller.account, "210987654321");
        assert!(
            !std::fs::read_to_string(path)
                .expect("a file")
                .contains("HIDDEN")
        );
    }

    #[test]
    fn a_users_key_and_a_session_of_it_are_the_users() {
        let folder = tempfile::tempdir().expect("a folder");
        let callers = Callers::open(folder.path().join("callers.json"));
        let admin = Caller {
            principal: "arn:aws:sts::123456789012:user/moto".to_owned(),
            account: "123456789012".to_owned(),
            access_key: "testing".to_owned(),
        };
        callers
            .learn(
                &operation("iam", "CreateAccessKey"),
                b"Action=CreateAccessKey&UserName=ci",
                "<R><AccessKeyId>AKIA1</AccessKeyId></R>",
                Some(&admin),
            )
            .expect("learnt");
        let user = callers.remembered("AKIA1").expect("a caller");
        assert_eq!(user.principal, "arn:aws:iam::123456789012:user/ci");
        callers
            .learn(
                &operation("sts", "GetSessionToken"),
                b"",
                "<R><AccessKeyId>ASIA2</AccessKeyId></R>",
                Some(&user),
            )
            .expect("learnt");
        assert_eq!(
            callers.remembered("ASIA2").map(|caller| caller.principal),
            Some(user.principal)
        );
    }

    #[test]
    fn a_key_id_that_is_an_accounts_number_is_that_account() {
        let folder = tempfile::tempdir().expect("a folder");
        let callers = Callers::open(folder.path().join("callers.json"));
        assert_eq!(
            callers.account_of("210987654321").as_deref(),
            Some("210987654321")
        );
        assert_eq!(callers.account_of("testing"), None);
    }
}
