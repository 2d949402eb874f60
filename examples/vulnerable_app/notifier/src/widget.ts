// The little box with unread notices that the shop embeds.
import DOMPurify from 'dompurify';

export function showNotice(box: HTMLElement, text: string): void {
  box.innerHTML = '<b>' + text + '</b>';
}

export function showPlain(box: HTMLElement, text: string): void {
  box.textContent = text;
}

export function showRich(box: HTMLElement, text: string): void {
  box.innerHTML = DOMPurify.sanitize(text);
}

export function clear(box: HTMLElement): void {
  box.innerHTML = '';
}
