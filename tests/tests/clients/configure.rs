//! `configure` where a real contract and a real owner are at hand.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use hybrid_tests::source_tree;

use crate::MAIN;
use crate::person::{HELPER, Person, Said, front};

#[test]
#[ignore = "needs the sandbox"]
fn the_contract_s_registry_is_routed_and_taken_out_again() {
    let _front = front();
    let person = Person::new("contract", MAIN);
    fs::write(
        person.docker_config(),
        "{\n  \"credsStore\": \"desktop\"\n}\n",
    )
    .unwrap();
    let run = |program: &str, words: &[&str]| {
        let project = source_tree().join("examples/knowledge-repo");
        Said::of(person.command(program, words).current_dir(project)).succeeds()
    };
    let read = || fs::read_to_string(person.docker_config()).unwrap();
    let shown = run(HELPER, &["configure", "--from-contract", "--dry-run"]);
    let added = format!("+    \"{}\": \"ecr-hybrid\"", person.host());
    assert!(shown.contains(&added), "{shown}");
    assert!(!read().contains("ecr-hybrid"));
    run(HELPER, &["configure", "--from-contract"]);
    let routed = format!("    \"{}\": \"ecr-hybrid\"\n", person.host());
    assert!(read().contains(&routed), "{}", read());
    run("kubectl", &["hybrid", "helper", "configure", "--remove"]);
    assert_eq!(read(), "{\n  \"credsStore\": \"desktop\"\n}\n");
}

#[test]
#[ignore = "needs the sandbox"]
fn under_sudo_a_person_s_file_stays_theirs() {
    let _front = front();
    let person = Person::new("owner", MAIN);
    let file = person.docker_config();
    chown(&file, Some(12_345), Some(23_456)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    person
        .run(HELPER, &["configure", "public.ecr.aws"])
        .succeeds();
    let after = fs::metadata(&file).unwrap();
    assert_eq!((after.uid(), after.gid()), (12_345, 23_456));
    assert_eq!(after.mode() & 0o777, 0o640);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .contains("public.ecr.aws")
    );
}
