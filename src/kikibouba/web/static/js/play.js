export class PlayMode {
  constructor(studio) {
    this.studio = studio;
  }
  enter() {}
  again() {}
}
