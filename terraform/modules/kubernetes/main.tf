# What runs on the local cluster. Terraform makes the objects and their shape; images, roll-outs,
# and the pull secret's data belong to kubectl hybrid, and a plan leaves them alone.

resource "kubernetes_namespace_v1" "this" {
  metadata {
    name   = var.namespace
    labels = var.labels
  }

  lifecycle {
    ignore_changes = [metadata[0].annotations]
  }
}

locals {
  namespace = kubernetes_namespace_v1.this.metadata[0].name
  exposed   = { for name, service in var.services : name => service if service.port != null }
}

# The namespace's own "default" is made by Kubernetes.
resource "kubernetes_service_account_v1" "this" {
  count = var.service_account == "default" ? 0 : 1

  metadata {
    name      = var.service_account
    namespace = local.namespace
    labels    = var.labels
  }

  image_pull_secret {
    name = var.pull_secret
  }

  automount_service_account_token = false

  lifecycle {
    ignore_changes = [metadata[0].annotations, image_pull_secret]
  }
}

resource "kubernetes_deployment_v1" "this" {
  for_each = var.services

  # Until the first deploy there is no image to pull: waiting for the pods would end in a time-out.
  wait_for_rollout = false

  metadata {
    name      = each.key
    namespace = local.namespace
    labels    = merge(var.labels, { "app.kubernetes.io/name" = each.key })
  }

  spec {
    replicas = each.value.replicas

    selector {
      match_labels = { "app.kubernetes.io/name" = each.key }
    }

    template {
      metadata {
        labels = merge(var.labels, { "app.kubernetes.io/name" = each.key })
      }

      spec {
        service_account_name            = var.service_account
        automount_service_account_token = false
        enable_service_links            = false

        # Named here as well as at the ServiceAccount, because Kubernetes adds the latter's secrets
        # to new pods only.
        image_pull_secrets {
          name = var.pull_secret
        }

        # The service's container stays the first one: it is the one whose image is left alone.
        container {
          name  = each.key
          image = each.value.image

          dynamic "port" {
            for_each = each.value.port[*]

            content {
              name           = "http"
              container_port = port.value
            }
          }

          dynamic "env" {
            for_each = each.value.env

            content {
              name  = env.key
              value = env.value
            }
          }

          dynamic "env" {
            for_each = each.value.secret_env

            content {
              name = env.key

              value_from {
                secret_key_ref {
                  name = env.value.secret
                  key  = env.value.key
                }
              }
            }
          }

          resources {
            requests = {
              cpu    = each.value.cpu
              memory = each.value.memory
            }
            limits = {
              memory = each.value.memory
            }
          }

          dynamic "readiness_probe" {
            for_each = each.value.port[*]

            content {
              period_seconds    = 1
              failure_threshold = 3

              http_get {
                path = each.value.health_path
                port = readiness_probe.value
              }
            }
          }

          # Slower than the readiness probe: a restart cures less than it costs.
          dynamic "liveness_probe" {
            for_each = each.value.port[*]

            content {
              initial_delay_seconds = 10
              period_seconds        = 10
              failure_threshold     = 6

              http_get {
                path = each.value.health_path
                port = liveness_probe.value
              }
            }
          }

          security_context {
            allow_privilege_escalation = false

            capabilities {
              # Nobody answers requests with packets made by hand.
              drop = ["NET_RAW"]
            }

            run_as_non_root = each.value.non_root
            # Named, because an image may name its user by a word, which Kubernetes cannot check, and
            # because a provider may write root where nothing is named.
            run_as_user  = each.value.non_root ? each.value.run_as_user : null
            run_as_group = each.value.non_root ? each.value.run_as_user : null
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [
      # deploy, restart, and rollback.
      spec[0].template[0].spec[0].container[0].image,
      spec[0].template[0].metadata[0].annotations,
      metadata[0].annotations,
      # kubectl scale.
      spec[0].replicas,
    ]
  }

  depends_on = [kubernetes_service_account_v1.this]
}

resource "kubernetes_service_v1" "this" {
  for_each = local.exposed

  # A laptop's cluster may have nobody who hands out addresses.
  wait_for_load_balancer = false

  metadata {
    name      = each.key
    namespace = local.namespace
    labels    = merge(var.labels, { "app.kubernetes.io/name" = each.key })
  }

  spec {
    type     = var.service_type
    selector = { "app.kubernetes.io/name" = each.key }

    port {
      name        = "http"
      port        = each.value.port
      target_port = each.value.port
      node_port   = var.service_type == "NodePort" ? each.value.node_port : null
    }
  }

  lifecycle {
    ignore_changes = [metadata[0].annotations]
  }
}
