// SPDX-License-Identifier: Apache-2.0

package field

import "github.com/scaplab/scaplab/sinsp"

var k8sClass = &Class{
	Name: "k8s",
	Desc: "the Kubernetes pod that the thread's container is in, as the container's events tell it",
	Fields: []Field{
		{Name: "k8s.pod.name", Type: String,
			Desc:    "name of the pod",
			Extract: podLabel(podName)},
		{Name: "k8s.ns.name", Type: String,
			Desc:    "namespace of the pod",
			Extract: podLabel("io.kubernetes.pod.namespace")},
		{Name: "k8s.pod.id", Type: String,
			Desc:    "the same as k8s.pod.uid",
			Extract: podLabel("io.kubernetes.pod.uid")},
		{Name: "k8s.pod.uid", Type: String,
			Desc:    "uid of the pod",
			Extract: podLabel("io.kubernetes.pod.uid")},
		{Name: "k8s.pod.sandbox_id", Type: String,
			Desc: "first 12 digits of the id of the pod's sandbox container",
			Extract: inPod(func(c *sinsp.Container, v *Value) bool {
				return v.present(c.PodSandboxID[:min(12, len(c.PodSandboxID))])
			})},
		{Name: "k8s.pod.full_sandbox_id", Type: String,
			Desc:    "id of the pod's sandbox container",
			Extract: inPod(func(c *sinsp.Container, v *Value) bool { return v.present(c.PodSandboxID) })},
		{Name: "k8s.pod.label", Type: String, Arg: ArgKey,
			Desc:    "a label of the pod",
			Extract: label(func(c *sinsp.Container) map[string]string { return c.PodSandboxLabels })},
		{Name: "k8s.pod.labels", Type: String,
			Desc:    "all labels of the pod as KEY:VALUE, separated by commas",
			Extract: labels(func(c *sinsp.Container) map[string]string { return c.PodSandboxLabels })},
		{Name: "k8s.pod.ip", Type: String,
			Desc:    "address of the pod",
			Extract: inPod(containerIP)},
		{Name: "k8s.pod.cni.json", Type: String,
			Desc:    "what the network plugin told of the pod, as JSON",
			Extract: inPod(func(c *sinsp.Container, v *Value) bool { return v.present(c.PodSandboxCNI) })},
		{Name: "k8s.ns.id", Type: String, Flags: Deprecated,
			Desc:    "id of the namespace; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.ns.label", Type: String, Arg: ArgKey, Flags: Deprecated,
			Desc:    "a label of the namespace; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.ns.labels", Type: String, Flags: Deprecated,
			Desc:    "all labels of the namespace; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rc.name", Type: String, Flags: Deprecated,
			Desc:    "name of the replication controller; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rc.id", Type: String, Flags: Deprecated,
			Desc:    "id of the replication controller; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rc.label", Type: String, Arg: ArgKey, Flags: Deprecated,
			Desc:    "a label of the replication controller; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rc.labels", Type: String, Flags: Deprecated,
			Desc:    "all labels of the replication controller; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.svc.name", Type: String, Flags: Deprecated,
			Desc:    "name of the service; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.svc.id", Type: String, Flags: Deprecated,
			Desc:    "id of the service; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.svc.label", Type: String, Arg: ArgKey, Flags: Deprecated,
			Desc:    "a label of the service; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.svc.labels", Type: String, Flags: Deprecated,
			Desc:    "all labels of the service; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rs.name", Type: String, Flags: Deprecated,
			Desc:    "name of the replica set; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rs.id", Type: String, Flags: Deprecated,
			Desc:    "id of the replica set; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rs.label", Type: String, Arg: ArgKey, Flags: Deprecated,
			Desc:    "a label of the replica set; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.rs.labels", Type: String, Flags: Deprecated,
			Desc:    "all labels of the replica set; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.deployment.name", Type: String, Flags: Deprecated,
			Desc:    "name of the deployment; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.deployment.id", Type: String, Flags: Deprecated,
			Desc:    "id of the deployment; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.deployment.label", Type: String, Arg: ArgKey, Flags: Deprecated,
			Desc:    "a label of the deployment; missing: container events do not tell it",
			Extract: missing},
		{Name: "k8s.deployment.labels", Type: String, Flags: Deprecated,
			Desc:    "all labels of the deployment; missing: container events do not tell it",
			Extract: missing},
	},
}

// podName is the label of a container that is in a pod.
const podName = "io.kubernetes.pod.name"

// podLabel makes an extract of what Kubernetes writes into a label of the container.
func podLabel(name string) extract {
	return inside(func(c *sinsp.Container, v *Value) bool { return v.present(c.Labels[name]) })
}

// inPod makes an extract about a container that is in a pod.
func inPod(set ofContainer) extract {
	return inside(func(c *sinsp.Container, v *Value) bool { return c.Labels[podName] != "" && set(c, v) })
}
