mock_provider "kubernetes" {}

variables {
  namespace = "knowledge-repo-dev"
  services  = {}
}

run "no_data_of_the_pull_secret_reaches_the_state" {
  command = plan

  assert {
    condition = (
      kubernetes_secret_v1.pull.type == "kubernetes.io/dockerconfigjson"
      && kubernetes_secret_v1.pull.data_wo_revision == 1
      && kubernetes_secret_v1.pull.data_wo == null
    )
    error_message = "The data of the pull secret is not write-only."
  }
}
