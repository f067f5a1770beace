// What AWS' provider does for a mount: it reads the SecretProviderClass, gets a token of the pod's ServiceAccount by which AWS would know the
// pod, and reads the secrets. Its errors have the words of the real one where the operator's sentences depend on them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

type provider struct {
	api     *api
	secrets string
}

type providerClass struct {
	Spec struct {
		Provider   string            `json:"provider"`
		Parameters map[string]string `json:"parameters"`
	} `json:"spec"`
}

// secretObject is an item of the parameter objects.
type secretObject struct {
	ObjectName  string `json:"objectName"`
	ObjectType  string `json:"objectType"`
	ObjectAlias string `json:"objectAlias"`
}

// files are those of the volume, by their paths in it.
func (p *provider) files(ctx context.Context, of pod, class string) (map[string][]byte, error) {
	var found providerClass
	path := fmt.Sprintf("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/%s/secretproviderclasses/%s", of.namespace, class)
	if err := p.api.get(ctx, path, &found); err != nil {
		return nil, fmt.Errorf("failed to get secretproviderclass %s/%s, error: %w", of.namespace, class, err)
	}
	files, err := p.mounted(ctx, of, &found)
	if err != nil {
		return nil, fmt.Errorf("failed to mount secrets store objects for pod %s/%s, err: %w", of.namespace, of.name, err)
	}
	return files, nil
}

func (p *provider) mounted(ctx context.Context, of pod, class *providerClass) (map[string][]byte, error) {
	if class.Spec.Provider != "aws" {
		return nil, fmt.Errorf("error connecting to provider %[1]q: provider not found: provider %[1]q", class.Spec.Provider)
	}
	if err := p.authenticate(ctx, of, class.Spec.Parameters["usePodIdentity"]); err != nil {
		return nil, err
	}
	var objects []secretObject
	if err := yaml.UnmarshalStrict([]byte(class.Spec.Parameters["objects"]), &objects); err != nil {
		return nil, fmt.Errorf("Failed to load SecretProviderClass: %w", err)
	}
	if len(objects) == 0 {
		return nil, errors.New("Failed to load SecretProviderClass: no objects")
	}
	files := map[string][]byte{}
	for _, object := range objects {
		if object.ObjectType != "secretsmanager" && !strings.HasPrefix(object.ObjectName, "arn:aws:secretsmanager:") {
			return nil, fmt.Errorf("%s: objectType must be secretsmanager", object.ObjectName)
		}
		content, err := os.ReadFile(filepath.Join(p.secrets, filepath.Base(object.ObjectName)))
		if err != nil {
			return nil, fmt.Errorf("Failed to fetch secret from all regions: %s", object.ObjectName)
		}
		name := object.ObjectAlias
		if name == "" {
			name = strings.ReplaceAll(object.ObjectName, "/", "_")
		}
		if filepath.IsAbs(name) || strings.HasPrefix(filepath.Clean(name), "..") {
			return nil, fmt.Errorf("%s: the file would be outside of the volume", name)
		}
		files[name] = content
	}
	return files, nil
}

// authenticate gets the token by which AWS would know the pod.
func (p *provider) authenticate(ctx context.Context, of pod, usePodIdentity string) error {
	podIdentity := false
	if usePodIdentity != "" {
		var err error
		if podIdentity, err = strconv.ParseBool(usePodIdentity); err != nil {
			return fmt.Errorf("failed to parse usePodIdentity value, error: %w", err)
		}
	}
	account := fmt.Sprintf("/api/v1/namespaces/%s/serviceaccounts/%s", of.namespace, of.account)
	type object = map[string]any
	spec := object{"audiences": []string{"pods.eks.amazonaws.com"}, "boundObjectRef": object{"kind": "Pod", "apiVersion": "v1", "name": of.name}}
	if !podIdentity {
		var found struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		if err := p.api.get(ctx, account, &found); err != nil {
			return err
		}
		if found.Metadata.Annotations["eks.amazonaws.com/role-arn"] == "" {
			return fmt.Errorf("An IAM role must be associated with service account %s (namespace: %s)", of.account, of.namespace)
		}
		spec = object{"audiences": []string{"sts.amazonaws.com"}}
	}
	var token struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	request := object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
	if err := p.api.post(ctx, account+"/token", request, &token); err != nil {
		return fmt.Errorf("failed to get a token of the service account: %w", err)
	}
	if token.Status.Token == "" {
		return errors.New("failed to get a token of the service account: the answer has none")
	}
	return nil
}
