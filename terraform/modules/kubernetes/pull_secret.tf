# The pull secret's shell, so that the name is taken and destroy removes it. Its data is write-only:
# neither this placeholder nor a token that kubectl hybrid writes later is ever read into the state.
# Plain `data` with ignore_changes would not do: each refresh copies what is live into the state.

resource "kubernetes_secret_v1" "pull" {
  metadata {
    name      = var.pull_secret
    namespace = local.namespace
    labels    = var.labels
  }

  type = "kubernetes.io/dockerconfigjson"

  data_wo = {
    ".dockerconfigjson" = jsonencode({ auths = {} })
  }

  # Stays as it is: a higher number would write the placeholder over a live token.
  data_wo_revision = 1

  lifecycle {
    ignore_changes = [metadata[0].annotations, metadata[0].labels]
  }
}
