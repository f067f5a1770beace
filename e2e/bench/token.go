// The bare signature: C_SignInit and C_Sign in this process.

package bench

import (
	"fmt"

	"github.com/miekg/pkcs11"
)

// Token is a logged-in session with the private key found.
type Token struct {
	module  *pkcs11.Ctx
	session pkcs11.SessionHandle
	key     pkcs11.ObjectHandle
}

// OpenToken logs in to the token of that label and finds the one private key of
// that label on it; without a label, none.
func OpenToken(modulePath, tokenLabel, keyLabel, pin string) (*Token, error) {
	module := pkcs11.New(modulePath)
	if module == nil {
		return nil, fmt.Errorf("PKCS#11 module %s cannot be loaded: is it there, with the libraries it needs?", modulePath)
	}
	t := &Token{module: module}
	if err := module.Initialize(); err != nil {
		module.Destroy()
		return nil, fmt.Errorf("C_Initialize of %s: %w", modulePath, err)
	}
	if err := t.find(tokenLabel, keyLabel, pin); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Token) find(tokenLabel, keyLabel, pin string) error {
	slots, err := t.module.GetSlotList(true)
	if err != nil {
		return fmt.Errorf("C_GetSlotList: %w", err)
	}
	for _, slot := range slots {
		info, err := t.module.GetTokenInfo(slot)
		if err != nil || info.Label != tokenLabel {
			continue
		}
		// CloudHSM knows no read-only sessions.
		if t.session, err = t.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
			return fmt.Errorf("C_OpenSession: %w", err)
		}
		if err := t.module.Login(t.session, pkcs11.CKU_USER, pin); err != nil {
			return fmt.Errorf("C_Login to token %s: %w", tokenLabel, err)
		}
		if keyLabel == "" {
			return nil
		}
		return t.Use(keyLabel)
	}
	return fmt.Errorf("no token with the label %s in %d slots", tokenLabel, len(slots))
}

// Use finds the one private key of that label, by which Sign signs from now on.
func (t *Token) Use(label string) error {
	if err := t.module.FindObjectsInit(t.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	}); err != nil {
		return fmt.Errorf("C_FindObjectsInit: %w", err)
	}
	found, _, err := t.module.FindObjects(t.session, 2)
	if err != nil {
		return fmt.Errorf("C_FindObjects: %w", err)
	}
	if err := t.module.FindObjectsFinal(t.session); err != nil {
		return fmt.Errorf("C_FindObjectsFinal: %w", err)
	}
	if len(found) != 1 {
		return fmt.Errorf("%d private keys with the label %s: there must be one", len(found), label)
	}
	t.key = found[0]
	return nil
}

// Sign makes one signature of a digest and forgets it.
func (t *Token) Sign(digest []byte) error {
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}
	if err := t.module.SignInit(t.session, mechanism, t.key); err != nil {
		return fmt.Errorf("C_SignInit: %w", err)
	}
	if _, err := t.module.Sign(t.session, digest); err != nil {
		return fmt.Errorf("C_Sign: %w", err)
	}
	return nil
}

// Close ends the sessions and unloads the module.
func (t *Token) Close() {
	t.module.Finalize()
	t.module.Destroy()
}
