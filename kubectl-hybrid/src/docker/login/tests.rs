use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::docker::fake::write_program;
use crate::docker::private_folder::{LOCK, PREFIX};

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

struct User {
    home: TempDir,
    own: PathBuf,
}

impl User {
    fn new(config: Option<&str>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let docker = home.path().join(".docker");
        std::fs::create_dir_all(docker.join("contexts/meta")).unwrap();
        std::fs::create_dir_all(docker.join("cli-plugins")).unwrap();
        std::fs::write(docker.join("cli-plugins/docker-buildx"), "plugin").unwrap();
        if let Some(config) = config {
            std::fs::write(docker.join("config.json"), config).unwrap();
        }
        std::fs::create_dir(home.path().join("run")).unwrap();
        let own = home.path().join("kubectl-hybrid");
        write_program(
            &own,
            "echo \"$(basename \"$0\") $1 $(cat)\" > \"$HOME/asked\"",
        );
        Self { home, own }
    }

    fn surroundings(&self, more: &[(&str, &str)]) -> Surroundings {
        let home = self.home.path().to_string_lossy().into_owned();
        let run = format!("{home}/run");
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain([
                ("HOME".to_owned(), home),
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("XDG_RUNTIME_DIR".to_owned(), run),
            ])
            .collect()
    }

    fn login(&self, more: &[(&str, &str)]) -> Result<Login, LoginError> {
        Login::prepare(&self.surroundings(more), &self.own, &[HOST.to_owned()])
    }

    fn private_folders(&self) -> usize {
        std::fs::read_dir(self.home.path().join("run"))
            .unwrap()
            .count()
    }
}

fn env(login: &Login, name: &str) -> Option<String> {
    let (_, value) = login.env_changes().iter().find(|(key, _)| key == name)?;
    Some(value.as_ref()?.to_string_lossy().into_owned())
}

#[test]
fn the_user_s_own_file_stays_and_the_private_one_routes_our_host() {
    let text = r#"{"auths":{"ghcr.io":{"auth":"eA=="}},"currentContext":"colima"}"#;
    let user = User::new(Some(text));
    let login = user.login(&[]).unwrap();
    assert!(login.is_overlay());
    let folder = PathBuf::from(env(&login, "DOCKER_CONFIG").unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("config.json")), 0o600);
    let private: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert!(overlay::is_routed(&private, HOST));
    assert_eq!(private["currentContext"], "colima");
    assert!(folder.join("contexts/meta").is_dir());
    assert!(folder.join("cli-plugins/docker-buildx").is_file());
    assert_eq!(
        env(&login, "BUILDX_CONFIG").unwrap(),
        user.home.path().join(".docker/buildx").to_string_lossy()
    );
    let own = std::fs::read_to_string(user.home.path().join(".docker/config.json")).unwrap();
    assert_eq!(own, text);
}

#[test]
fn nothing_is_left_when_the_login_ends_and_the_user_s_folders_survive() {
    let user = User::new(None);
    let login = user.login(&[]).unwrap();
    assert_eq!(user.private_folders(), 1);
    drop(login);
    assert_eq!(user.private_folders(), 0);
    assert!(
        user.home
            .path()
            .join(".docker/cli-plugins/docker-buildx")
            .is_file()
    );
}

#[test]
fn what_a_killed_owner_left_is_swept_and_what_lives_is_not() {
    let user = User::new(None);
    let dead = user.home.path().join("run").join(format!("{PREFIX}dead"));
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join(LOCK), "").unwrap();
    std::fs::create_dir(dead.join(PROGRAMS)).unwrap();
    let first = user.login(&[]).unwrap();
    assert!(!dead.exists());
    let second = user.login(&[]).unwrap();
    for login in [&first, &second] {
        assert!(Path::new(&env(login, "DOCKER_CONFIG").unwrap()).is_dir());
    }
}

#[test]
fn a_user_who_routes_our_host_already_keeps_their_own_configuration() {
    let user = User::new(Some(&format!(
        r#"{{"credHelpers":{{"{HOST}":"ecr-hybrid"}}}}"#
    )));
    let login = user.login(&[]).unwrap();
    assert!(!login.is_overlay());
    assert_eq!(env(&login, "DOCKER_CONFIG"), None);
    // The helper is not on PATH: it is offered all the same.
    assert!(env(&login, "PATH").unwrap().contains(PREFIX));

    let bin = user.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    write_program(&bin.join(helper::program_name()), "exit 0");
    let login = user.login(&[]).unwrap();
    drop(login);
    let surroundings = user.surroundings(&[]);
    let path = surroundings.path_with(&bin).unwrap();
    let surroundings: Surroundings = [
        ("HOME", user.home.path().as_os_str()),
        ("PATH", path.as_os_str()),
    ]
    .into_iter()
    .collect();
    let login = Login::prepare(&surroundings, &user.own, &[HOST.to_owned()]).unwrap();
    assert!(login.env_changes().is_empty(), "{login:?}");
}

#[tokio::test]
async fn this_program_answers_under_the_helper_s_name() {
    let user = User::new(None);
    let home = user.home.path().to_string_lossy().into_owned();
    let login = user.login(&[]).unwrap().with_env("HOME", home);
    login.forget_token(HOST).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(user.home.path().join("asked")).unwrap(),
        format!("docker-credential-ecr-hybrid erase {HOST}\n")
    );
}

#[test]
fn credentials_in_the_environment_do_not_come_before_our_helper() {
    let user = User::new(None);
    let config =
        format!(r#"{{"auths":{{"{HOST}":{{"auth":"old"}},"ghcr.io":{{"auth":"eA=="}}}}}}"#);
    let login = user.login(&[("DOCKER_AUTH_CONFIG", &config)]).unwrap();
    assert_eq!(
        env(&login, "DOCKER_AUTH_CONFIG").unwrap(),
        r#"{"auths":{"ghcr.io":{"auth":"eA=="}}}"#
    );
}

#[test]
fn a_broken_configuration_is_named_with_its_place() {
    let user = User::new(Some("{\n  \"auths\": {,}\n}"));
    let error = user.login(&[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("config.json is not valid JSON"), "{text}");
    assert!(text.contains("line 2"), "{text}");
    assert!(error.hint().unwrap().contains("DOCKER_CONFIG"));
    assert_eq!(user.private_folders(), 0);

    let user = User::new(Some(r#"{"credHelpers": 1}"#));
    let error = user.login(&[]).unwrap_err();
    assert!(error.to_string().contains("`credHelpers`"), "{error}");
    assert_eq!(user.private_folders(), 0);
    assert!(User::new(Some("")).login(&[]).is_ok());
}
