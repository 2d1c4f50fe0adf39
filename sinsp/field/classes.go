// SPDX-License-Identifier: Apache-2.0

package field

// classes has the fields of all classes, in the order of lists. The rows of each class
// are in a file of its name.
var classes = []*Class{
	evtClass, syscallClass, procClass, threadClass, userClass, groupClass, fdClass, fsPathClass, fdlistClass, containerClass,
	k8sClass, utilClass,
}
